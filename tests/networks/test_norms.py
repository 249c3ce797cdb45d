"""The image norm against its formula in every layout, and statistics that take its place."""

import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from restain.errors import RestainError
from restain.networks.batch_norms import averages_kept
from restain.networks.generator import Generator, NormSite, replace_module
from restain.networks.norms import ImageNorm
from restain.networks.specs import GeneratorSpec, ResnetSpec, UnetSpec
from restain.networks.statistics import Statistics, check_channels, freeze, load_statistics, measure, save_statistics

LAYOUTS = (torch.contiguous_format, torch.channels_last)
SHAPES = ((1, 5, 12, 9), (3, 5, 12, 9), (2, 1, 7, 8), (1, 6, 2, 3))


def _formula(x: Tensor) -> Tensor:
    mean = x.mean(dim=(2, 3), keepdim=True)
    return (x - mean) / torch.sqrt((x - mean).square().mean(dim=(2, 3), keepdim=True) + 1e-5)


def _draw(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 3 + 7


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("layout", "incoming"), list(itertools.product(LAYOUTS, LAYOUTS)))
def test_value_and_gradient_are_right_in_every_layout(
    shape: tuple[int, ...], layout: torch.memory_format, incoming: torch.memory_format
) -> None:
    exact = _draw(shape, 0).requires_grad_()
    weights = _draw(shape, 1)
    (expected,) = torch.autograd.grad((_formula(exact) * weights).sum(), exact)
    x = exact.detach().float().contiguous(memory_format=layout).requires_grad_()
    found = ImageNorm()(x)
    torch.testing.assert_close(found.double(), _formula(exact), rtol=1e-4, atol=1e-4)
    (gradient,) = torch.autograd.grad(found, x, weights.float().contiguous(memory_format=incoming))
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())


def test_strange_layouts_are_right_too() -> None:
    whole = _draw((2, 8, 10, 9), 0)
    for exact in (whole[:, 1:6, 2:8], whole.transpose(2, 3), whole[:1, ::2].expand(3, 4, 10, 9)):
        exact = exact.detach().requires_grad_()
        (expected,) = torch.autograd.grad((_formula(exact) * exact.detach()).sum(), exact)
        (found,) = torch.autograd.grad((ImageNorm()(exact) * exact.detach()).sum(), exact)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_compiled_it_is_the_same(layout: torch.memory_format) -> None:
    exact = _draw((2, 5, 12, 9), 0).contiguous(memory_format=layout).requires_grad_()
    weights = _draw((2, 5, 12, 9), 1)
    expected = torch.autograd.grad((_formula(exact) * weights).sum(), exact)[0]
    found = torch.compile(ImageNorm(), backend="aot_eager", fullgraph=True)(exact)
    torch.testing.assert_close(found, _formula(exact))
    torch.testing.assert_close(torch.autograd.grad((found * weights).sum(), exact)[0], expected)


def test_gradients_of_gradients() -> None:
    for layout in LAYOUTS:
        x = _draw((2, 2, 3, 4), 0).contiguous(memory_format=layout).requires_grad_()
        assert torch.autograd.gradgradcheck(ImageNorm(), (x,))


@pytest.mark.parametrize("count", [1, 3])
def test_the_layout_stays(count: int) -> None:
    x = torch.randn(count, 5, 12, 9)
    assert ImageNorm()(x).is_contiguous()
    last = ImageNorm()(x.contiguous(memory_format=torch.channels_last))
    assert last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_half_precision_has_the_statistics_of_single(layout: torch.memory_format) -> None:
    x = (_draw((2, 4, 40, 40), 0) + 90).bfloat16().contiguous(memory_format=layout).requires_grad_()
    found = ImageNorm()(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), _formula(x.double()), rtol=0.01, atol=0.01)
    weights = _draw((2, 4, 40, 40), 1).bfloat16()
    (gradient,) = torch.autograd.grad(found, x, weights)
    exact = x.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(_formula(exact), exact, weights.double())
    assert nn.functional.cosine_similarity(gradient.double().flatten(), expected.flatten(), dim=0) > 0.999


def test_traced_it_is_the_same_for_any_size() -> None:
    height, width = torch.export.Dim("height", min=4), torch.export.Dim("width", min=4)
    x = _draw((2, 3, 9, 7), 0).float()
    program = torch.export.export(ImageNorm(), (x,), dynamic_shapes=({2: height, 3: width},))
    for shape in ((2, 3, 9, 7), (2, 3, 20, 31)):
        x = _draw(shape, 1).float()
        torch.testing.assert_close(program.module()(x), ImageNorm()(x), rtol=1e-4, atol=1e-5)


SPECS: list[GeneratorSpec] = [
    ResnetSpec(ngf=4, blocks=2),
    ResnetSpec(ngf=4, blocks=2, spectral_norm=False, antialias=False),
    UnetSpec(ngf=4, downs=4, norm="instance"),
]


def _generator(spec: GeneratorSpec) -> Generator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = spec.build()
    stream = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=stream) * (0.3 if parameter.dim() > 1 else 0.1)
    for _ in range(5):
        network(torch.rand(1, 3, 32, 32, generator=stream))
    return network.eval()


def _crops(count: int, side: int = 32) -> list[Tensor]:
    stream = torch.Generator().manual_seed(1)
    levels = torch.rand(count, generator=stream)
    return [torch.rand(1, 3, side, side, generator=stream) * 2 * level - 1 for level in levels]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_frozen_on_one_image_it_stains_that_image_as_ever(spec: GeneratorSpec) -> None:
    generator = _generator(spec)
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    (crop,) = _crops(1)
    frozen = freeze(generator, measure(generator, iter([crop])))
    assert not any(isinstance(module, ImageNorm) for module in frozen.modules()) and not frozen.norm_sites()
    assert not frozen.training and not any(p.requires_grad for p in frozen.parameters())
    torch.testing.assert_close(frozen(crop), generator(crop), atol=1e-4, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())


class _CropsAverage(nn.Module):
    """What a norm that is frozen over several crops does, in one pass over them all."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(2, 3), keepdim=True).mean(dim=0)
        variance = x.var(dim=(2, 3), correction=0, keepdim=True).mean(dim=0)
        return (x - mean) / torch.sqrt(variance + 1e-5)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_frozen_on_several_it_uses_their_average_in_every_layer(spec: GeneratorSpec) -> None:
    generator, averaging, crops = _generator(spec), _generator(spec), _crops(4)
    frozen = freeze(generator, measure(generator, crops))
    for site in averaging.norm_sites():
        replace_module(averaging, site.name, _CropsAverage())
    together = torch.cat(crops)
    torch.testing.assert_close(frozen(together), averaging(together), atol=1e-3, rtol=0)
    assert (frozen(together) - generator(together)).abs().max() > 0.05


def test_crops_pass_in_groups_that_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, crops = _generator(SPECS[0]), [*_crops(5), *_crops(3, 48)]
    monkeypatch.setattr("restain.networks.statistics._PASS", 2 * 32 * 32)
    found = measure(generator, crops)
    groups = [crops[0:2], crops[2:4], crops[4:5], *([crop] for crop in crops[5:])]
    parts = [measure(generator, group) for group in groups]
    for values, expected in ((found.means, [p.means for p in parts]), (found.variances, [p.variances for p in parts])):
        for site, value in enumerate(values):
            weighted = sum(len(group) * part[site] for group, part in zip(groups, expected, strict=True)) / 8
            torch.testing.assert_close(value, weighted)


def test_crops_of_mixed_sizes_are_measured_size_by_size() -> None:
    generator, large, small = _generator(SPECS[0]), _crops(3, 48), _crops(3)
    mixed = [crop for pair in zip(large, small, strict=True) for crop in pair]
    one, other = measure(generator, mixed), measure(generator, [*large, *small])
    for values, expected in ((one.means, other.means), (one.variances, other.variances)):
        assert all(map(torch.equal, values, expected))


def test_without_statistics_batch_norms_stay_as_they_are() -> None:
    generator, x = UnetSpec(ngf=2, downs=3).build().eval(), _crops(1)[0]
    torch.testing.assert_close(freeze(generator, Statistics((), ()))(x), generator(x), rtol=0, atol=0)


def test_crops_of_several_sizes_are_batched_by_size() -> None:
    generator = ResnetSpec(ngf=3, blocks=1, norm="batch", spectral_norm=False).build().eval()
    small, large = _crops(2, 16), _crops(3, 32)
    mixed = [large[0], small[0], large[1], small[1], large[2]]  # of which the last makes no batch
    found = measure(generator, mixed, 2)
    parts = [measure(generator, group, 2) for group in (large, small)]
    torch.testing.assert_close(found.means[0], (parts[0].means[0] + parts[1].means[0]) / 2)


def test_a_pass_may_leave_the_averages_alone() -> None:
    generator = ResnetSpec(ngf=3, blocks=1, norm="batch", spectral_norm=False).build().train()
    norm = next(module for module in generator.modules() if isinstance(module, nn.BatchNorm2d))
    before = norm.running_mean.clone()
    with averages_kept(generator):
        generator(_crops(1)[0])
    assert torch.equal(norm.running_mean, before) and norm.momentum == 0.1
    generator(_crops(1)[0])
    assert not torch.equal(norm.running_mean, before)


def test_statistics_come_back_exactly(tmp_path: Path) -> None:
    statistics = measure(_generator(SPECS[0]), _crops(2))
    save_statistics(tmp_path / "statistics.safetensors", statistics)
    again = load_statistics(tmp_path / "statistics.safetensors")
    assert all(map(torch.equal, again.means, statistics.means))
    assert all(map(torch.equal, again.variances, statistics.variances))


def test_refusals(tmp_path: Path) -> None:
    generator = _generator(SPECS[0])
    with pytest.raises(RestainError, match="no crop of tissue was given"):
        measure(generator, [])
    with pytest.raises(RestainError, match=r"have channels \[4\]; this generator's norms have \[4, 8, 16"):
        freeze(generator, Statistics((torch.zeros(4),), (torch.ones(4),)))
    with pytest.raises(RestainError, match=r"have channels \[4\]; this generator's norms have \[2, 4"):
        freeze(ResnetSpec(ngf=2, blocks=1, norm="batch").build(), Statistics((torch.zeros(4),), (torch.ones(4),)))
    check_channels([NormSite("a", "b", 4, 1)], [torch.zeros(2, 3, 4)])
    path = tmp_path / "s.safetensors"
    with pytest.raises(RestainError, match=r"s\.safetensors: holds no normalisation statistics"):
        load_statistics(path)
    path.write_bytes(b"not safetensors")
    with pytest.raises(RestainError, match=r"s\.safetensors: holds no normalisation statistics"):
        load_statistics(path)
    good = {"000.mean": torch.zeros(3), "000.variance": torch.ones(3)}
    for wrong in (
        {"000.mean": torch.zeros(3)},
        {**good, "000.variance": torch.ones(2)},
        {**good, "000.variance": -torch.ones(3)},
        {**good, "000.mean": torch.full((3,), float("nan"))},
        {**good, "000.mean": torch.zeros(3, dtype=torch.float64)},
        {**good, "weight": torch.zeros(3)},
    ):
        save_file(wrong, path)
        with pytest.raises(RestainError, match="expected a mean and a variance for each norm"):
            load_statistics(path)


def test_settled_batch_norms_hold_the_mean_of_what_batches_of_crops_give() -> None:
    generator = ResnetSpec(ngf=3, blocks=1, norm="batch", dropout=True, spectral_norm=True).build().double().eval()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    crops = [_draw((1, 3, 16, 16), seed) / 10 for seed in range(7)]  # of which the last makes no batch
    settled = freeze(generator, measure(generator, iter(crops), 2))
    assert settled is not generator and not settled.training
    assert all(torch.equal(value, before[name]) for name, value in generator.state_dict().items())
    first = next(module for module in settled.modules() if isinstance(module, nn.BatchNorm2d))
    batches = [torch.cat(crops[start : start + 2]) for start in (0, 2, 4)]
    seen = [settled.layers[1](settled.layers[0](batch)) for batch in batches]
    means, variances = ([moment(x, dim=(0, 2, 3)) for x in seen] for moment in (torch.mean, torch.var))
    torch.testing.assert_close(first.running_mean.float(), torch.stack(means).mean(dim=0).float())
    torch.testing.assert_close(first.running_var.float(), torch.stack(variances).mean(dim=0).float())
    assert not torch.equal(settled(crops[0]), generator(crops[0]))
    assert first.momentum == 0.1
    again = freeze(generator, measure(generator, iter(crops), 2))  # dropout is off
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in settled.state_dict().items())


def test_fewer_crops_than_a_batch_are_one_and_without_norms_nothing_is_read() -> None:
    generator = UnetSpec(ngf=2, downs=3).build().eval()
    crops = [torch.rand(1, 3, 16, 16) for _ in range(2)]
    settled = freeze(generator, measure(generator, crops, 4))
    alone = freeze(generator, measure(generator, crops, 2))
    assert all(torch.equal(value, alone.state_dict()[name]) for name, value in settled.state_dict().items())
    with pytest.raises(RestainError, match="no crop"):
        measure(generator, [], 4)
    plain = ResnetSpec(ngf=2, blocks=1).build().eval()
    assert measure(freeze(plain, measure(plain, crops)), []) == Statistics((), ())
