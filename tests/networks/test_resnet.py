"""The generator: CUT's numbering, sizes, and its blur layers against loops and transposed convolutions."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restain.networks.generator import plain_copy
from restain.networks.layers import BlurPool, BlurUpsample
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import ResnetSpec

TAPS = (0, 4, 8, 12, 16)


def _generator(ngf: int, blocks: int, **options: object) -> ResnetGenerator:
    return ResnetSpec(ngf=ngf, blocks=blocks, **{"spectral_norm": False, **options}).build()


def test_contrastive_layers_of_a_512_crop() -> None:
    with torch.device("meta"):
        generator = _generator(64, 6)
        features = generator.encode(torch.empty(1, 3, 512, 512), TAPS)
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (3, 518, 518),
        (128, 512, 512),
        (256, 256, 256),
        (256, 128, 128),
        (256, 128, 128),
    ]
    assert [generator.spec.contrastive_channels(tap) for tap in TAPS] == [3, 128, 256, 256, 256]


def test_taps_are_before_the_norm_and_after_the_blocks() -> None:
    generator = _generator(4, 6).eval()
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    features = generator.encode(x, TAPS)
    torch.testing.assert_close(features[0], F.pad(x, (3, 3, 3, 3), mode="reflect"))
    h = F.relu(F.instance_norm(generator.layers[1](features[0])))
    torch.testing.assert_close(features[1], generator.layers[4](h))
    torch.testing.assert_close(features[4], generator.layers[16](generator.encode(x, (15,))[0]))


@pytest.mark.parametrize("tap", [-1, 18, 27])
def test_a_layer_outside_the_encoder_is_refused(tap: int) -> None:
    with pytest.raises(ValueError, match="0 to 17"):
        ResnetSpec(blocks=6).contrastive_channels(tap)


def test_one_pass_gives_the_image_and_the_features_of_the_encoder() -> None:
    generator = _generator(4, 6).eval()
    x = torch.rand(2, 3, 32, 40) * 2 - 1
    image, features = generator.translate(x, TAPS)
    torch.testing.assert_close(image, generator(x))
    for found, expected in zip(features, generator.encode(x, TAPS), strict=True):
        torch.testing.assert_close(found, expected)


def test_any_size_is_kept_and_the_values_stay_in_range() -> None:
    generator = _generator(4, 1)
    for height in range(16, 71):
        size = (height, 16 + (7 * height) % 55)
        image = generator(torch.rand(1, 3, *size) * 2 - 1)
        assert image.shape == (1, 3, *size)
        assert image.abs().max() <= 1


def test_an_odd_size_is_the_reflected_size_cropped() -> None:
    generator = _generator(4, 2).eval()
    x = torch.rand(1, 3, 18, 21) * 2 - 1
    whole = generator(F.pad(x, (0, 3, 0, 2), mode="reflect"))
    torch.testing.assert_close(generator(x), whole[..., :18, :21])


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="12x40"):
        _generator(4, 2)(torch.zeros(1, 3, 12, 40))


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
    generator = _generator(4, 2, spectral_norm=True)
    for _ in range(30):  # let the power iterations converge
        generator(torch.rand(1, 3, 16, 16))
    generator.eval()
    x = torch.rand(1, 3, 20, 20) * 2 - 1
    plain = plain_copy(generator)
    torch.testing.assert_close(plain(x), generator(x))
    for module in plain.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), ord=2).item() == pytest.approx(1, abs=0.02)
    _generator(4, 2).load_state_dict(plain.state_dict())


def test_fresh_weights_are_xavier_of_small_gain() -> None:
    torch.manual_seed(0)
    convolution = _generator(32, 2).layers[8]
    fan = 9 * (64 + 128)
    assert convolution.weight.std().item() == pytest.approx(0.02 * (2 / fan) ** 0.5, rel=0.02)
    assert convolution.bias.abs().max() == 0


class PublishedBlock(nn.Module):
    def __init__(self, channels: int, make, bias: bool, dropout: bool) -> None:
        super().__init__()
        layers = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), make(channels), nn.ReLU()]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), make(channels)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv_block(x)


def _published_strided(ngf: int, blocks: int, norm: str, dropout: bool) -> nn.Sequential:
    """CycleGAN's and pix2pix's ResNet as their papers and state dicts describe it: keys model.N, here N."""
    bias = norm == "instance"
    make = {"instance": lambda c: nn.InstanceNorm2d(c), "batch": lambda c: nn.BatchNorm2d(c)}[norm]
    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, ngf, 7, bias=bias), make(ngf), nn.ReLU()]
    for c in (ngf, 2 * ngf):
        layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), make(2 * c), nn.ReLU()]
    layers += [PublishedBlock(4 * ngf, make, bias, dropout) for _ in range(blocks)]
    for c in (4 * ngf, 2 * ngf):
        layers += [nn.ConvTranspose2d(c, c // 2, 3, 2, 1, 1, bias=bias), make(c // 2), nn.ReLU()]
    layers += [nn.ReflectionPad2d(3), nn.Conv2d(ngf, 3, 7), nn.Tanh()]
    return nn.Sequential(*layers)


@pytest.mark.parametrize(("norm", "dropout"), [("instance", False), ("batch", True)])
def test_the_strided_form_is_the_published_one_under_its_names(norm: str, dropout: bool) -> None:
    torch.manual_seed(0)
    generator = _generator(4, 2, norm=norm, dropout=dropout, antialias=False, init="normal")
    published = _published_strided(4, 2, norm, dropout)
    published.load_state_dict({key.removeprefix("layers."): value for key, value in generator.state_dict().items()})
    x = torch.rand(2, 3, 24, 32) * 2 - 1
    if not dropout:
        torch.testing.assert_close(generator(x), published(x))
    torch.testing.assert_close(generator.eval()(x), published.eval()(x))


def test_dropout_is_on_while_training_only() -> None:
    torch.manual_seed(0)
    generator = _generator(4, 2, dropout=True)
    x = torch.rand(1, 3, 24, 24)
    assert not torch.equal(generator(x), generator(x))
    generator.eval()
    assert torch.equal(generator(x), generator(x))


def test_contrastive_layers_of_the_strided_form() -> None:
    generator = _generator(4, 2, antialias=False)
    taps = (0, 1, 4, 7, 10, 11)
    features = generator.encode(torch.rand(1, 3, 32, 32), taps)
    assert [f.shape[1] for f in features] == [generator.spec.contrastive_channels(tap) for tap in taps]
    assert [f.shape[2] for f in features] == [38, 32, 16, 8, 8, 8]


def test_normal_weights_have_a_deviation_of_a_fiftieth() -> None:
    torch.manual_seed(0)
    generator = _generator(32, 1, init="normal", norm="batch")
    assert generator.layers[8].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert generator.layers[8].bias is None and generator.layers[-2].bias is not None
    scales = torch.cat([m.weight.detach() for m in generator.modules() if isinstance(m, nn.BatchNorm2d)])
    assert (scales.mean().item(), scales.std().item()) == pytest.approx((1, 0.02), rel=0.1)
