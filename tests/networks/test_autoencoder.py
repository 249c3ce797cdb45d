"""UNIT's generator: how far it sees, what its norms are fixed to, and that its joint norms fold away."""

import pytest
import torch
from torch import nn

from restain.networks.norms import JointNorm
from restain.networks.specs import AutoencoderSpec
from restain.networks.statistics import freeze, measure, moments

SPEC = AutoencoderSpec(ngf=4, downs=2, blocks=1)


def frozen_network() -> nn.Module:
    torch.manual_seed(0)
    network = SPEC.build().double()
    return freeze(network, measure(network, [torch.rand(1, 3, 64, 64).double() * 2 - 1]))


def test_no_pixel_beyond_the_radius_is_seen_and_the_layout_is_the_published_one() -> None:
    network = frozen_network()
    field = network.receptive_field()
    side = 2 * field.radius + 24
    x = torch.zeros(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    reach = 0
    for phase in range(field.stride):
        at = side // 2 // field.stride * field.stride + phase
        (gradient,) = torch.autograd.grad(network(x)[0, :, at, at].sum(), x)
        rows = gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
        reach = max(reach, at - int(rows.min()), int(rows.max()) - at)
    assert field.radius - field.stride < reach <= field.radius
    assert field.stride == 4


def test_each_norm_is_a_site_and_only_the_decoders_doublings_are_joint() -> None:
    network = SPEC.build()
    sites = network.norm_sites()
    assert [site.joint for site in sites] == [False] * 7 + [True] * 2
    assert [site.channels for site in sites] == [4, 8, 16, 16, 16, 16, 16, 8, 4]
    assert [site.scale for site in sites] == [1, 2, 4, 4, 4, 4, 4, 2, 1]
    for site in sites:
        assert isinstance(network.get_submodule(site.name), JointNorm) == site.joint
        assert isinstance(network.get_submodule(site.convolution), nn.Conv2d)


def test_joint_moments_are_those_of_all_channels_together() -> None:
    x = torch.randn(2, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3 + 1
    mean, variance = moments(x, joint=True)
    for image in range(2):
        values = x[image].flatten()
        torch.testing.assert_close(mean[image], values.mean().expand(5))
        torch.testing.assert_close(variance[image], ((values - values.mean()) ** 2).mean().expand(5))
        normalised = JointNorm()(x)[image].flatten()
        torch.testing.assert_close(normalised, (values - values.mean()) / (variance[image, 0] + 1e-5).sqrt())


@pytest.mark.parametrize(("downs", "side"), [(2, 16), (4, 32), (5, 64)])
def test_the_smallest_image_is_painted(downs: int, side: int) -> None:
    network = AutoencoderSpec(ngf=1, downs=downs, blocks=1).build().eval()
    assert network.smallest == side
    image = torch.rand(1, 3, side, side) * 2 - 1
    assert network(image).shape == image.shape


@pytest.mark.parametrize("side", [64, 96])
def test_fixed_to_one_image_it_paints_that_image_as_before(side: int) -> None:
    torch.manual_seed(3)
    network = SPEC.build().eval()
    image = torch.rand(1, 3, side, side) * 2 - 1
    with torch.no_grad():
        found = freeze(network, measure(network, [image]))(image)
        torch.testing.assert_close(found, network(image), rtol=1e-3, atol=1e-4)
