"""Receptive fields: where gradients end, layer by layer and in whole networks."""

import copy

import pytest
import torch
from torch import nn

from restain.networks.generator import Generator, replace_module
from restain.networks.geometry import chain_sources, layer_sources
from restain.networks.layers import BlurPool, BlurUpsample
from restain.networks.norms import ImageNorm
from restain.networks.specs import GeneratorSpec, ResnetSpec, UnetSpec

LAYERS = {
    "conv": nn.Conv2d(1, 1, 5, padding=2),
    "strided": nn.Conv2d(1, 1, 3, 2, 1),
    "strided4": nn.Conv2d(1, 1, 4, 2, 1),
    "dilated": nn.Conv2d(1, 1, 3, padding=3, dilation=3),
    "transposed3": nn.ConvTranspose2d(1, 1, 3, 2, 1, 1),
    "transposed4": nn.ConvTranspose2d(1, 1, 4, 2, 1),
    "blurpool": BlurPool(1),
    "upsample": BlurUpsample(),
    "pad": nn.ReflectionPad2d(2),
    "tanh": nn.Tanh(),
}


def _reached(network: nn.Module, pixel: int, side: int, channels: int) -> tuple[int, int]:
    """First and last column of the input with a gradient from one column of the output."""
    x = torch.rand(1, channels, side, side, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(x)[..., pixel].sum(), x)
    columns = gradient[0].abs().sum(dim=(0, 1)).nonzero()
    return int(columns.min()), int(columns.max())


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("pixel", [16, 17])
def test_one_layer_sees_what_its_rule_says(name: str, pixel: int) -> None:
    layer = _positive(copy.deepcopy(LAYERS[name]).double())
    found = layer_sources(layer, (pixel, pixel))
    reached = _reached(layer, pixel, 48, 1)
    assert found == reached


def test_a_chain_is_followed_from_its_end() -> None:
    chain = _positive(nn.Sequential(*(copy.deepcopy(LAYERS[n]) for n in ("strided", "conv", "transposed4"))).double())
    assert chain_sources(chain, (15, 18)) == (min(_reached(chain, p, 48, 1)[0] for p in range(15, 19)),
        max(_reached(chain, p, 48, 1)[1] for p in range(15, 19)))  # fmt: skip


def test_a_layer_without_a_rule_is_refused() -> None:
    with pytest.raises(TypeError, match="receptive field of a AdaptiveAvgPool2d is not known"):
        layer_sources(nn.AdaptiveAvgPool2d(1), (0, 0))


SPECS = [
    *(ResnetSpec(ngf=2, blocks=blocks, spectral_norm=False, antialias=a) for blocks in (1, 2) for a in (True, False)),
    ResnetSpec(ngf=2, blocks=1, spectral_norm=False, norm="batch", dropout=True),
    *(UnetSpec(ngf=2, downs=downs) for downs in (2, 3, 4)),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_radius_of_a_network_is_where_gradients_end(spec: GeneratorSpec) -> None:
    network = _linear(spec.build())
    field = network.receptive_field()
    assert field is network.receptive_field() and field.radius % field.stride == 0
    side = 4 * field.radius // field.stride * field.stride
    reached = 0
    for phase in range(field.stride):
        pixel = side // 2 // field.stride * field.stride + phase
        first, last = _reached(network, pixel, side, 3)
        reached = max(reached, pixel - first, last - pixel)
    assert field.radius - field.stride < reached <= field.radius


@pytest.mark.parametrize(
    ("spec", "radius", "stride"),
    [
        # By hand: encoder 3 + 1 + 1 + 2 + 2, blocks 8 each, decoder 4 + 2 + 2 + 1 + 3, up to a multiple of 4.
        (ResnetSpec(ngf=1, blocks=6), 72, 4),
        (ResnetSpec(ngf=1, blocks=9), 96, 4),
        # Each 4x4 convolution of stride s sees s + s / 2 beside its centre: 3 * 2^8 on the whole way down and up.
        (UnetSpec(ngf=1, downs=8), 768, 256),
    ],
    ids=str,
)
def test_the_radius_of_the_published_networks(spec: GeneratorSpec, radius: int, stride: int) -> None:
    field = spec.build().receptive_field()
    assert (field.radius, field.stride) == (radius, stride)


@pytest.mark.parametrize("spec", [*SPECS, UnetSpec(ngf=2, downs=3, norm="instance")], ids=str)
def test_norm_sites_are_the_image_norms_in_the_order_in_which_they_run(spec: GeneratorSpec) -> None:
    generator = spec.build().eval()
    ran: list[tuple[str, int, int, str]] = []
    last: list[str] = []
    for name, module in generator.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda *_, name=name: last.append(name))
        if isinstance(module, ImageNorm):
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: ran.append((name, inputs[0].shape[1], 64 // inputs[0].shape[3], last[-1]))
            )
    generator(torch.rand(1, 3, 64, 64))
    sites = generator.norm_sites()
    assert [(site.name, site.channels, site.scale, site.convolution) for site in sites] == ran
    assert bool(sites) == (spec.norm == "instance")


def _positive(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.uniform_(module.weight, 0.01, 0.1, generator=torch.Generator().manual_seed(0))
    return network


def _linear(generator: Generator) -> nn.Module:
    """The same reach without norms or dead rectifiers, so that every path carries a gradient."""
    for name, module in list(generator.named_modules()):
        if isinstance(module, ImageNorm | nn.BatchNorm2d | nn.ReLU | nn.LeakyReLU | nn.Tanh | nn.Dropout):
            replace_module(generator, name, nn.Identity())
    return _positive(generator.double().eval())
