"""Statistics that follow the tissue against hand-made nodes; whose statistics a slide takes; windows on tissue."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from restain.errors import RestainError
from restain.images import RGB
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import AutoencoderSpec, ResnetSpec
from restain.networks.statistics import Statistics, freeze, measure, save_statistics
from restain.slides.seamless.local import LocalStatistics, Place, load_local, localise, measure_local, save_local
from restain.slides.seamless.normalisation import find_statistics
from restain.slides.seamless.windows import inner_tissue, sample_positions, sample_windows, window_count
from restain.slides.tiling import Footprint
from restain.tensors import to_tensor
from restain.wsi.geometry import Region, Size

FOOTPRINT = Footprint(radius=40, stride=4, smallest=16)


@pytest.fixture(scope="module")
def generator() -> ResnetGenerator:
    network = ResnetSpec(ngf=4, blocks=2, spectral_norm=False).build()
    stream = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=stream)
    return network.eval().requires_grad_(False)


def _samples(count: int, size: int = 48) -> list[RGB]:
    rng = np.random.default_rng(1)
    levels = rng.integers(40, 256, count)
    return [rng.integers(0, level, (size, size, 3), dtype=np.uint8) for level in levels]


def _tensor(samples: list[RGB]) -> torch.Tensor:
    return torch.stack([to_tensor(sample) for sample in samples])


def _tensors(count: int) -> list[torch.Tensor]:
    return [to_tensor(sample)[None] for sample in _samples(count)]


def test_local_statistics_that_are_the_same_everywhere_are_frozen_ones(generator: ResnetGenerator) -> None:
    statistics = measure(generator, _tensors(3))
    everywhere = LocalStatistics(
        32,
        tuple(mean.expand(3, 2, -1) for mean in statistics.means),
        tuple(torch.sqrt(variance + 1e-5).expand(3, 2, -1) for variance in statistics.variances),
    )
    place = Place([(16, 4)])
    x = _tensor(_samples(1))
    local = localise(generator, everywhere, place)
    torch.testing.assert_close(local(x), freeze(generator, statistics)(x), atol=1e-4, rtol=0)


def test_local_statistics_are_bilinear_in_the_place_of_a_pixel() -> None:
    # One channel, scale 1, spacing 8: nodes in the middle of squares of 8 pixels, at 4 and 12.
    from restain.slides.seamless.local import _LocalNorm

    means = torch.tensor([[0.0, 8.0], [16.0, 24.0]])[..., None]
    norm = _LocalNorm(means, torch.full((2, 2, 1), 2.0), 8.0, 1, Place([(0, 0), (4, 8)]))
    x = torch.zeros(2, 1, 8, 8)
    found = -2 * norm(x)
    y, x_ = np.meshgrid(np.arange(16) + 0.5, np.arange(16) + 0.5, indexing="ij")
    expected = 2 * (y - 4).clip(0, 8) + (x_ - 4).clip(0, 8)
    np.testing.assert_allclose(found[0, 0], expected[:8, :8], atol=1e-5)
    np.testing.assert_allclose(found[1, 0], expected[8:16, 4:12], atol=1e-5)


def test_windows_of_glass_do_not_count_and_one_window_of_tissue_gives_its_own_statistics(
    generator: ResnetGenerator,
) -> None:
    slide = np.full((192, 192, 3), 255, dtype=np.uint8)
    slide[144:, 144:] = _samples(1)[0]
    tissue = np.zeros((8, 8), dtype=bool)
    tissue[6:, 6:] = True
    squares: list[Region] = []

    def read(region: Region) -> RGB:
        squares.append(region)
        return slide[region.within(Size.of(slide).region)]

    local = measure_local(generator, read, tissue, Size(192, 192), side=48, spacing=100)
    assert squares == [Region(96, 96, 96, 96)]  # the nodes are 96 pixels apart: two windows
    assert local.spacing == 96
    alone = measure(generator, _tensors(1))
    for mean, deviation, expected, variance in zip(
        local.means, local.deviations, alone.means, alone.variances, strict=True
    ):
        assert mean.shape[:2] == (2, 2)
        torch.testing.assert_close(mean, expected.expand_as(mean), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(deviation, torch.sqrt(variance + 1e-5).expand_as(mean), atol=1e-4, rtol=1e-4)


def test_a_node_averages_its_windows_and_neighbours_by_kernel_and_tissue(generator: ResnetGenerator) -> None:
    windows = _samples(4)  # two at each of two nodes, one row
    slide = np.concatenate(windows, axis=1)
    slide = np.concatenate([slide, np.full_like(slide, 255)])
    tissue = np.zeros((16, 32), dtype=bool)
    tissue[:8] = True
    tissue[4:8, 24:] = False  # half of the last window
    local = measure_local(
        generator, lambda r: slide[r.within(Size.of(slide).region)], tissue, Size(192, 96), side=48, spacing=96
    )
    x = generator.layers[1](generator.layers[0](_tensor(windows)))
    means, variances = x.double().mean(dim=(2, 3)), x.double().var(dim=(2, 3), correction=0)
    weights = torch.tensor([2, 2, 1, 0.5], dtype=torch.float64)[:, None] / 5.5  # kernel times share, at the left node
    assert local.means[0].shape == (1, 2, 4)
    torch.testing.assert_close(local.means[0][0, 0].double(), (weights * means).sum(0), atol=1e-5, rtol=1e-5)
    spread = local.deviations[0][0, 0].double() ** 2
    torch.testing.assert_close(spread, (weights * variances).sum(0) + 1e-5, atol=1e-5, rtol=1e-4)


def test_windows_of_a_square_are_measured_together(generator: ResnetGenerator) -> None:
    """In every norm, as the network will be run: with the norms before it fixed to the average over the windows."""
    windows = _samples(4)
    slide = np.concatenate([np.concatenate(windows[:2], axis=1), np.concatenate(windows[2:], axis=1)])
    local = measure_local(
        generator, lambda r: slide[r.within(Size.of(slide).region)], np.ones((1, 1), bool), Size(96, 96), 48, 96
    )
    together = measure(generator, _tensors(4))
    for mean, deviation, expected, variance in zip(
        local.means, local.deviations, together.means, together.variances, strict=True
    ):
        torch.testing.assert_close(mean[0, 0], expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(deviation[0, 0] ** 2 - 1e-5, variance, atol=1e-4, rtol=1e-4)


def test_a_node_far_from_tissue_takes_the_whole_slides_average(generator: ResnetGenerator) -> None:
    tissue = np.zeros((4, 4), dtype=bool)
    tissue[0, 0] = True
    local = measure_local(generator, lambda r: _samples(1)[0], tissue, Size(192, 192), side=48, spacing=48)
    assert local.means[3].shape[:2] == (4, 4)
    assert torch.equal(local.means[3][0, 0], local.means[3][3, 3])


def test_local_statistics_come_back_exactly(generator: ResnetGenerator, tmp_path: Path) -> None:
    local = measure_local(generator, lambda r: _samples(1)[0], np.ones((2, 3), dtype=bool), Size(144, 96), 48, 48)
    save_local(tmp_path / "statistics.safetensors", local)
    again = load_local(tmp_path / "statistics.safetensors")
    assert again.spacing == 48
    for found, expected in ((again.means, local.means), (again.deviations, local.deviations)):
        assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_refusals(generator: ResnetGenerator, tmp_path: Path) -> None:
    with pytest.raises(RestainError, match="the slide has no tissue"):
        measure_local(generator, lambda r: _samples(1)[0], np.zeros((2, 2), dtype=bool), Size(96, 96), 48)
    with pytest.raises(RestainError, match=r"have channels \[4\]; this generator's norms have \[4, 8, 16"):
        localise(generator, LocalStatistics(8, (torch.zeros(1, 1, 4),), (torch.ones(1, 1, 4),)), Place())
    (tmp_path / "broken").write_bytes(b"not safetensors")
    save_statistics(tmp_path / "global", measure(generator, _tensors(1)))
    for name in ("broken", "missing", "global"):
        with pytest.raises(RestainError, match=f"{name}: holds no local statistics"):
            load_local(tmp_path / name)


def test_samples_are_spread_over_the_tissue() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[:32, :32] = True  # two thirds of the tissue
    mask[48:, 32:] = True
    positions = sample_positions(mask, 24, seed=3)
    assert len(positions) == 24 and mask[positions[:, 0], positions[:, 1]].all()
    assert (positions[:, 0] < 32).sum() == 16  # in proportion to area, to the sample
    quarters = np.bincount(positions[positions[:, 0] < 32] // 16 @ [2, 1], minlength=4)
    assert quarters.tolist() == [4, 4, 4, 4]
    assert np.array_equal(positions, sample_positions(mask, 24, seed=3))
    assert not np.array_equal(positions, sample_positions(mask, 24, seed=4))


def test_a_mask_with_too_few_pixels_gives_them_all() -> None:
    mask = np.zeros((5, 5), dtype=bool)
    mask[1, 2] = mask[4, 0] = True
    assert sample_positions(mask, 10, seed=0).tolist() == [[1, 2], [4, 0]]
    assert len(sample_positions(np.zeros((5, 5), dtype=bool), 10, seed=0)) == 0


@pytest.mark.parametrize(("side", "count"), [(512, 16), (96, 455), (1024, 8)])
def test_four_megapixels_are_sampled_but_no_more_than_there_are(side: int, count: int) -> None:
    mask = np.ones((10, 20), dtype=bool)
    assert window_count(mask, Size(40_000, 20_000), side) == count
    mask[:, 5:] = False  # a quarter is left
    assert window_count(mask, Size(side * 2, side * 2), side) == 1
    assert window_count(mask, Size(side * 2 + 8, side * 2), side) == 2


def test_windows_of_tissue_alone_hold_no_glass() -> None:
    mask = np.zeros((20, 30), dtype=bool)
    mask[3:12, 4:20] = True
    inner = inner_tissue(mask, Size(300, 200), 35)  # it touches five cells
    for window in sample_windows(inner, Size(300, 200), Footprint(8, 4, 4), count=20, side=35, seed=0):
        assert mask[window.y // 10 : -(-window.bottom // 10), window.x // 10 : -(-window.right // 10)].all()
    assert inner.sum() == 5 * 12
    assert np.array_equal(inner_tissue(mask, Size(300, 200), 100), mask)  # none fits


def test_windows_of_a_slide_are_measured_in_random_order(tmp_path: Path) -> None:
    seen: list[int] = []

    def read(region: Region) -> RGB:
        seen.append(region.y)
        return np.zeros((region.height, region.width, 3), dtype=np.uint8)

    def measure_all(windows: Iterable[torch.Tensor]) -> Statistics:
        assert list(windows)
        return Statistics((torch.zeros(1),), (torch.ones(1),))

    stainer = SimpleNamespace(card=SimpleNamespace(tile_size=64), measure=measure_all)
    tissue, grid = SimpleNamespace(mask=np.ones((16, 16), dtype=bool)), SimpleNamespace(size=Size(1024, 1024))
    plan = SimpleNamespace(norm="slide", tiles=[0], tissue=tissue, grid=grid, footprint=FOOTPRINT)
    find_statistics(tmp_path, stainer, plan, read)
    first = seen[: len(seen) // 2]  # a half of the slide in the order of places
    assert len(first) > 20
    assert 0.3 < np.mean([y < 512 for y in first]) < 0.7


def test_windows_lie_in_the_grid() -> None:
    mask = np.zeros((10, 20), dtype=bool)
    mask[0, 0] = mask[9, 19] = mask[5, 10] = True
    windows = sample_windows(mask, Size(2002, 1001), FOOTPRINT, count=3, side=256, seed=0)
    assert windows == [Region(x, y, 256, 256) for x, y in ((0, 0), (923, 422), (1746, 745))]
    assert sample_windows(mask, Size(10, 30), FOOTPRINT, count=1, side=256, seed=0)[0].size == Size(16, 32)
    with pytest.raises(RestainError, match="the slide has no tissue"):
        sample_windows(np.zeros((2, 2), dtype=bool), Size(64, 64), FOOTPRINT, count=3, side=32, seed=0)


def test_norms_over_all_channels_together_are_measured_so() -> None:
    """UNIT's decoder: the same mean and deviation for each channel, as for the norms of a single image."""
    torch.manual_seed(0)
    generator = AutoencoderSpec(ngf=4, blocks=1).build().eval()
    windows = _samples(4)
    slide = np.concatenate([np.concatenate(windows[:2], axis=1), np.concatenate(windows[2:], axis=1)])
    local = measure_local(
        generator, lambda r: slide[r.within(Size.of(slide).region)], np.ones((1, 1), bool), Size(96, 96), 48, 96
    )
    together = measure(generator, _tensors(4))
    for site, mean, deviation, expected, variance in zip(
        generator.norm_sites(), local.means, local.deviations, together.means, together.variances, strict=True
    ):
        torch.testing.assert_close(mean[0, 0], expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(deviation[0, 0] ** 2 - 1e-5, variance, atol=1e-4, rtol=1e-4)
        assert (len(mean[0, 0].unique()) == 1) == site.joint
