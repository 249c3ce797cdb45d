"""Discriminators at several scales: what each sees, and UNIT's layout."""

import torch

from restain.networks.specs import PlainDiscriminatorSpec


def test_each_scale_sees_the_image_halved_once_more() -> None:
    torch.manual_seed(0)
    network = PlainDiscriminatorSpec(ndf=4, layers=2, scales=3).build()
    x = torch.rand(2, 3, 64, 64)
    scores = network(x)
    assert [tuple(score.shape) for score in scores] == [(2, 1, 16, 16), (2, 1, 8, 8), (2, 1, 4, 4)]
    halved = x
    for index in range(3):
        torch.testing.assert_close(scores[index], network.scales[index](halved))
        padded = torch.nn.functional.pad(halved, (1, 1, 1, 1))
        inside = torch.nn.functional.pad(torch.ones_like(halved), (1, 1, 1, 1))
        sums, counts = (torch.nn.functional.avg_pool2d(m, 3, 2) for m in (padded, inside))
        halved = sums / counts


def test_channels_double_and_there_is_no_norm() -> None:
    spec = PlainDiscriminatorSpec()
    network = spec.build()
    widths = [layer.out_channels for layer in network.scales[0].modules() if isinstance(layer, torch.nn.Conv2d)]
    assert widths == [64, 128, 256, 512, 1] and len(network.scales) == 3
    assert not [layer for layer in network.modules() if "Norm" in type(layer).__name__]


def test_the_smallest_image_still_gets_a_score_at_each_scale() -> None:
    spec = PlainDiscriminatorSpec(ndf=2, layers=3, scales=2)
    assert spec.smallest_image == 16
    assert all(score.numel() for score in spec.build()(torch.zeros(1, 3, 16, 16)))
