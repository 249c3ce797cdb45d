"""What every generator answers: copies, sizes, and gradients that do not depend on precision, layout or company."""

import copy

import pytest
import torch
from torch import Tensor, nn

from restain.networks.generator import Generator, plain_copy
from restain.networks.specs import GeneratorSpec, ResnetSpec, UnetSpec
from restain.networks.statistics import freeze, measure

SPECS: list[GeneratorSpec] = [
    ResnetSpec(ngf=4, blocks=2),
    ResnetSpec(ngf=4, blocks=2, antialias=False, init="normal"),
    ResnetSpec(ngf=4, blocks=2, norm="batch", dropout=True, antialias=False),
    UnetSpec(ngf=4, downs=3),
    UnetSpec(ngf=4, downs=4, norm="instance", dropout=False),
]
INSTANCE = [spec for spec in SPECS if spec.norm == "instance"]


def _generator(spec: GeneratorSpec) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spec.build()
        for _ in range(5):  # power iterations and running averages move
            network(torch.rand(2, 3, 32, 32))
    return network


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_plain_copy_is_the_same_function_and_the_original_stays(spec: GeneratorSpec) -> None:
    generator = _generator(spec)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    draw = torch.get_rng_state()
    plain = plain_copy(generator)
    assert torch.equal(torch.get_rng_state(), draw) and generator.training and not plain.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    assert not any("parametrizations" in name for name in plain.state_dict())
    assert not any(parameter.requires_grad for parameter in plain.parameters())
    x = torch.rand(1, 3, 32, 35) * 2 - 1
    again = plain_copy(copy.deepcopy(generator))  # the original's class is untouched by copies of copies
    expected = generator.eval()(x)
    for found in (plain, again, plain_copy(plain)):
        torch.testing.assert_close(found(x), expected, atol=1e-6, rtol=1e-5)
    assert plain.spec == spec.plain()


@pytest.mark.parametrize("spec", INSTANCE, ids=str)
def test_a_plain_copy_of_a_frozen_generator_stays_frozen(spec: GeneratorSpec) -> None:
    generator = _generator(spec)
    frozen = freeze(generator, measure(generator, [torch.rand(1, 3, 32, 32)]))
    x = torch.rand(1, 3, 40, 32)
    assert torch.equal(plain_copy(frozen)(x), frozen(x))


def _gradient(generator: Generator, x: Tensor, target: Tensor) -> Tensor:
    generator.zero_grad()
    (generator(x) - target).square().mean().backward()
    return torch.cat([parameter.grad.flatten() for parameter in generator.parameters()])


def _cosine(a: Tensor, b: Tensor) -> float:
    return nn.functional.cosine_similarity(a.double(), b.double(), dim=0).item()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_gradients_agree_in_bf16_and_in_channels_last(spec: GeneratorSpec, count: int) -> None:
    generator = _generator(spec).eval()  # without dropout, and each pass with the same weights
    stream = torch.Generator().manual_seed(2)
    x, target = (torch.rand(count, 3, 32, 32, generator=stream) * 2 - 1 for _ in "xy")
    expected = _gradient(generator, x, target)
    assert all(parameter.grad.abs().max() > 0 for parameter in generator.parameters() if parameter.dim() > 1)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = _gradient(generator, x, target)
    assert _cosine(narrow, expected) > 0.98
    last = torch.channels_last
    generator.to(memory_format=last)
    found = _gradient(generator, x.contiguous(memory_format=last), target.contiguous(memory_format=last))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("spec", INSTANCE, ids=str)
def test_a_batch_of_two_is_two_of_one(spec: GeneratorSpec) -> None:
    generator = _generator(spec).eval()
    stream = torch.Generator().manual_seed(2)
    x, target = (torch.rand(2, 3, 32, 32, generator=stream) * 2 - 1 for _ in "xy")
    together = _gradient(generator, x, target)
    alone = [_gradient(generator, x[i : i + 1], target[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(together, sum(alone) / 2, rtol=1e-3, atol=1e-4 * together.abs().max().item())


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_other_sizes_are_reflected_and_cropped(spec: GeneratorSpec) -> None:
    generator = _generator(spec).eval()
    stride = generator.receptive_field().stride
    side = -(-generator.smallest // stride) * stride + stride
    x = torch.rand(1, 3, side - 1, side - stride + 1)
    whole = generator(nn.functional.pad(x, (0, stride - 1, 0, 1), mode="reflect"))
    torch.testing.assert_close(generator(x), whole[..., : side - 1, : side - stride + 1])
    least = generator.smallest
    assert generator(torch.rand(1, 3, least, least)).shape == (1, 3, least, least)
