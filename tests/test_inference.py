"""Prepared networks: the same numbers to rounding, the same bits each time, and no change to what was handed over."""

import copy

import pytest
import torch
from torch import Tensor, nn

from restain.errors import RestainError
from restain.inference import find_precision, prepare
from restain.networks.generator import Generator
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import ResnetSpec, UnetSpec

GREY = 1 / 127.5


@pytest.fixture
def generator() -> ResnetGenerator:
    """Random, with strong last weights: its images use the whole range, as a trained one's do."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = ResnetSpec(ngf=8, blocks=2, spectral_norm=False).build().eval()
    final = made.layers[-2]
    final.weight.data *= 20
    final.bias.data += 0.5
    return made


@pytest.fixture(
    params=[
        ResnetSpec(ngf=8, blocks=2, spectral_norm=False, antialias=False),
        ResnetSpec(ngf=8, blocks=2, spectral_norm=False, antialias=False, norm="batch", dropout=True),
        UnetSpec(ngf=8, downs=4),
        UnetSpec(ngf=8, downs=5, norm="instance"),
    ],
    ids=str,
)
def other(request: pytest.FixtureRequest) -> Generator:
    """Every other kind of generator, with weights and running averages as strong as a trained one's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = request.param.build()
        for module in made.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        for _ in range(30):
            made(torch.rand(4, 3, 64, 64) * 2 - 1)
    return made.eval()


@pytest.fixture
def he() -> Tensor:
    draw = torch.Generator().manual_seed(1)
    coarse = torch.rand(3, 3, 10, 13, generator=draw) * 2 - 1
    return nn.functional.interpolate(coarse, (77, 101), mode="bicubic").clamp(-1, 1)


@pytest.mark.parametrize(("precision", "mean", "largest"), [("32", 0.001, 0.02), ("bf16", 0.5, 4.0)])
def test_the_result_is_the_networks(
    generator: ResnetGenerator, he: Tensor, precision: str, mean: float, largest: float
) -> None:
    with torch.no_grad():
        expected = generator(he)
    assert expected.std() > 30 * GREY
    found = prepare(generator, precision)(he)
    assert (found.dtype, found.shape) == (torch.float32, he.shape) and found.is_contiguous()
    difference = (found - expected).abs() / GREY
    assert difference.mean() < mean and difference.max() < largest


@pytest.mark.parametrize(("precision", "mean", "largest"), [("32", 0.001, 0.05), ("bf16", 1.5, 30.0)])
def test_every_generator_runs_in_every_precision(
    other: Generator, he: Tensor, precision: str, mean: float, largest: float
) -> None:
    with torch.no_grad():
        expected = other(he)
    assert expected.std() > 30 * GREY
    run = prepare(other, precision)
    found = run(he)
    difference = (found - expected).abs() / GREY
    assert difference.mean() < mean and difference.max() < largest
    assert torch.equal(run(he), found)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_it_repeats_bit_by_bit_and_images_do_not_know_each_other(
    generator: ResnetGenerator, he: Tensor, precision: str
) -> None:
    run = prepare(generator, precision)
    first = run(he)
    assert torch.equal(first, run(he)) and torch.equal(first, prepare(generator, precision)(he))
    alone = torch.cat([run(image[None]) for image in he])
    assert (first - alone).abs().max() < GREY


def test_the_network_is_left_as_it_is(generator: ResnetGenerator, he: Tensor) -> None:
    before = copy.deepcopy(generator.state_dict())
    with torch.no_grad():
        expected = generator(he)
    prepare(generator, "bf16")(he)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    with torch.no_grad():
        assert torch.equal(generator(he), expected)


def test_bf16_keeps_the_statistics_and_the_last_activation_wide(generator: ResnetGenerator, he: Tensor) -> None:
    found = prepare(generator, "bf16")(he)
    white = found[(found > 0.5) & (found < 1)]
    assert (white.bfloat16().float() != white).float().mean() > 0.5  # bf16 has steps of half a grey level there


def test_auto_goes_by_what_the_processor_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for features, expected in (({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda said=features: said, raising=False)
        assert find_precision("auto", "cpu") == expected
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert find_precision("auto", "cpu") == "32"
    assert find_precision("bf16", "cpu") == "bf16" and find_precision("32", "cuda") == "32"
    with pytest.raises(RestainError, match="precision is 'fp16'; expected auto, 32 or bf16"):
        find_precision("fp16", "cpu")
