"""The generator: CUT's numbering, sizes, and its blur layers against loops and transposed convolutions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from restain.networks.layers import BlurPool, BlurUpsample, fold_spectral_norm
from restain.networks.resnet import ResnetGenerator

TAPS = (0, 4, 8, 12, 16)


def test_contrastive_layers_of_a_512_crop() -> None:
    with torch.device("meta"):
        generator = ResnetGenerator(64, 6)
        features = generator.encode(torch.empty(1, 3, 512, 512), TAPS)
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (3, 518, 518),
        (128, 512, 512),
        (256, 256, 256),
        (256, 128, 128),
        (256, 128, 128),
    ]
    assert [generator.channels(tap) for tap in TAPS] == [3, 128, 256, 256, 256]


def test_taps_are_before_the_norm_and_after_the_blocks() -> None:
    generator = ResnetGenerator(4, 6).eval()
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    features = generator.encode(x, TAPS)
    torch.testing.assert_close(features[0], F.pad(x, (3, 3, 3, 3), mode="reflect"))
    h = F.relu(F.instance_norm(generator.layers[1](features[0])))
    torch.testing.assert_close(features[1], generator.layers[4](h))
    torch.testing.assert_close(features[4], generator.layers[16](generator.encode(x, (15,))[0]))


@pytest.mark.parametrize("tap", [-1, 18, 27])
def test_a_layer_outside_the_encoder_is_refused(tap: int) -> None:
    with pytest.raises(ValueError, match="0 to 17"):
        ResnetGenerator(4, 6).channels(tap)


def test_one_pass_gives_the_image_and_the_features_of_the_encoder() -> None:
    generator = ResnetGenerator(4, 6).eval()
    x = torch.rand(2, 3, 32, 40) * 2 - 1
    image, features = generator.translate(x, TAPS)
    torch.testing.assert_close(image, generator(x))
    for found, expected in zip(features, generator.encode(x, TAPS), strict=True):
        torch.testing.assert_close(found, expected)


def test_any_size_is_kept_and_the_values_stay_in_range() -> None:
    generator = ResnetGenerator(4, 1)
    for height in range(16, 71):
        size = (height, 16 + (7 * height) % 55)
        image = generator(torch.rand(1, 3, *size) * 2 - 1)
        assert image.shape == (1, 3, *size)
        assert image.abs().max() <= 1


def test_an_odd_size_is_the_reflected_size_cropped() -> None:
    generator = ResnetGenerator(4, 2).eval()
    x = torch.rand(1, 3, 18, 21) * 2 - 1
    whole = generator(F.pad(x, (0, 3, 0, 2), mode="reflect"))
    torch.testing.assert_close(generator(x), whole[..., :18, :21])


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="12x40"):
        ResnetGenerator(4, 2)(torch.zeros(1, 3, 12, 40))


@pytest.mark.parametrize("size", [(6, 8), (7, 5)])
def test_blur_pool_by_a_loop(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).normal(size=size)
    padded = np.pad(image, 1, mode="reflect")
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = [
        [(padded[y : y + 3, x : x + 3] * kernel).sum() for x in range(0, size[1], 2)] for y in range(0, size[0], 2)
    ]
    found = BlurPool(2)(torch.tensor(np.stack([image, image]))[None])
    np.testing.assert_allclose(found[0, 1].numpy(), expected, rtol=1e-6)


def test_blur_upsample_is_the_cropped_transposed_convolution() -> None:
    x = torch.rand(1, 2, 5, 7, dtype=torch.float64)
    line = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=torch.float64)
    kernel = (torch.outer(line, line) / 16).expand(2, 1, 4, 4)
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    spread = F.conv_transpose2d(padded, kernel, stride=2, groups=2)
    expected = spread[..., 3:-3, 3:-3]
    assert expected.shape[-2:] == (10, 14)
    torch.testing.assert_close(BlurUpsample()(x), expected)


def test_folding_spectral_norm_changes_nothing_but_the_parameters() -> None:
    torch.manual_seed(0)
    generator = ResnetGenerator(4, 2, spectral=True)
    for _ in range(30):  # let the power iterations converge
        generator(torch.rand(1, 3, 16, 16))
    generator.eval()
    x = torch.rand(1, 3, 20, 20) * 2 - 1
    before = generator(x)
    fold_spectral_norm(generator)
    torch.testing.assert_close(generator(x), before)
    for module in generator.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), ord=2).item() == pytest.approx(1, abs=0.02)
    ResnetGenerator(4, 2).load_state_dict(generator.state_dict())


def test_fresh_weights_are_xavier_of_small_gain() -> None:
    torch.manual_seed(0)
    convolution = ResnetGenerator(32, 2).layers[8]
    fan = 9 * (64 + 128)
    assert convolution.weight.std().item() == pytest.approx(0.02 * (2 / fan) ** 0.5, rel=0.02)
    assert convolution.bias.abs().max() == 0
