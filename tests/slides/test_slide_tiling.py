"""Tiles, halos, and the proof that a slide's stain does not depend on how it is cut."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from restain.errors import RestainError
from restain.images import RGB
from restain.networks.generator import Generator
from restain.networks.specs import GeneratorSpec, ResnetSpec, UnetSpec
from restain.networks.statistics import Statistics, measure
from restain.slides.seamless.local import LocalStatistics, measure_local
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Footprint, Tile, Tiling, padded_region
from restain.tensors import to_rgb, to_tensor
from restain.wsi.geometry import Region, Size

HEIGHT, WIDTH = 250, 390  # neither of them a multiple of 4
SIZE = Size(WIDTH, HEIGHT)
FOOTPRINT = Footprint(radius=32, stride=4, smallest=16)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return _generator(ResnetSpec(ngf=4, blocks=1, spectral_norm=False))


def _generator(spec: GeneratorSpec) -> Generator:
    """Weights of a trained network's size, so that differences are not rounded away."""
    network = spec.build()
    stream = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, generator=stream)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=stream) * 0.1
            module.running_var = 0.5 + torch.rand(module.num_features, generator=stream)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def slide() -> RGB:
    """Blotches on glass, darker to the right, so that neighbouring tiles differ in all their statistics."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 160, (-(-HEIGHT // 8), -(-WIDTH // 8), 3)).repeat(8, 0).repeat(8, 1)[:HEIGHT, :WIDTH]
    fine = rng.integers(0, 60, (HEIGHT, WIDTH, 3))
    tissue = 255 - (coarse + fine) * np.linspace(0.3, 1.1, WIDTH)[None, :, None]
    tissue[:, : WIDTH // 4] = 243
    return tissue.clip(0, 255).astype(np.uint8)


def _read(slide: RGB, region: Region) -> RGB:
    """As a slide reader: white outside."""
    pixels = np.full((*region.size.shape, 3), 255, dtype=np.uint8)
    inside = region.clip(SIZE)
    pixels[inside.within(region)] = slide[inside.within(SIZE.region)]
    return pixels


def _stained(
    stainer: SlideStainer, slide: RGB, tiles: list[Tile], batch: int = 1, footprint: Footprint = FOOTPRINT
) -> RGB:
    out = np.zeros_like(slide)
    for start in range(0, len(tiles), batch):
        part = tiles[start : start + batch]
        inputs = [_read(slide, padded_region(tile.region, stainer.halo, SIZE, footprint)) for tile in part]
        for tile, rgb in zip(part, stainer.stain(inputs, part), strict=True):
            out[tile.region.within(SIZE.region)] = rgb
    return out


def _grid(tile: int, shift: int = 0) -> list[Tile]:
    """The tiles of a grid whose first row and column are ``shift`` pixels short."""
    rows, columns = (sorted({0, *range(tile - shift if shift else 0, extent, tile)}) for extent in (HEIGHT, WIDTH))
    return [
        Tile(row, column, Region(x, y, min([*columns[column + 1 :], WIDTH]) - x, min([*rows[row + 1 :], HEIGHT]) - y))
        for row, y in enumerate(rows)
        for column, x in enumerate(columns)
    ]


def _farthest(first: RGB, second: RGB) -> int:
    return int(np.abs(first.astype(int) - second.astype(int)).max())


def _frozen(generator: Generator, slide: RGB) -> Statistics:
    return measure(generator, [to_tensor(_read(slide, Region(x, 64, 96, 96)))[None] for x in (80, 176, 272)])


def _local(generator: Generator, slide: RGB) -> LocalStatistics:
    return measure_local(generator, lambda region: _read(slide, region), slide.min(2) < 235, SIZE, 32, 64)


MEASURES: dict[str, Callable[[Generator, RGB], Statistics | LocalStatistics]] = {
    "slide": _frozen,
    "local": _local,
}


def test_a_grid_covers_every_pixel_once() -> None:
    tiling = Tiling(SIZE, 64)
    covered = np.zeros((HEIGHT, WIDTH), dtype=int)
    for tile in tiling:
        covered[tile.region.within(SIZE.region)] += 1
    assert (covered == 1).all()
    assert (tiling.rows, tiling.columns, len(tiling)) == (4, 7, 28)
    assert tiling.tile(3, 6).region.size == Size(390 - 384, 250 - 192)
    assert [(tile.row, tile.column) for tile in tiling][8] == (1, 1)
    under = [(tile.row, tile.column) for tile in tiling.under(Region(63, 128, 66, 64))]
    assert under == [(2, 0), (2, 1), (2, 2)]


@pytest.mark.parametrize("side", [0, -4, 66])
def test_a_tile_off_the_lattice_is_refused(side: int) -> None:
    with pytest.raises(RestainError, match=f"tile is {side} pixels; expected a multiple of 4, the generator's stride"):
        FOOTPRINT.check_side(side)


def test_padded_regions_lie_on_the_lattice_within_the_canonical_domain() -> None:
    for tile in _grid(64, shift=20):
        inner = tile.region
        padded = padded_region(inner, 40, SIZE, FOOTPRINT)
        assert all(number % 4 == 0 for number in (padded.x, padded.y, padded.width, padded.height))
        assert 0 <= padded.x <= inner.x and inner.right <= padded.right <= 392
        assert 0 <= padded.y <= inner.y and inner.bottom <= padded.bottom <= 252
        assert padded.x in (0, inner.x - 40) and padded.y in (0, inner.y - 40)
        assert padded.right == min(392, inner.right + 40 + (-inner.width % 4))
    assert padded_region(Region(0, 0, 3, 5), 40, Size(3, 5), FOOTPRINT) == Region(0, 0, 16, 16)


@pytest.mark.parametrize("norm", MEASURES)
def test_the_result_does_not_depend_on_the_tiling(norm: str, generator: Generator, slide: RGB) -> None:
    stainer = SlideStainer(generator, MEASURES[norm](generator, slide))
    whole = _stained(stainer, slide, _grid(512))
    assert stainer.halo == 32
    assert np.ptp(whole) > 100
    for tile, shift in ((64, 0), (128, 0), (64, 20), (128, 44), (256, 100)):
        assert _farthest(_stained(stainer, slide, _grid(tile, shift)), whole) <= 1


@pytest.mark.parametrize(
    "spec",
    [
        ResnetSpec(ngf=4, blocks=1, spectral_norm=False, norm="batch"),
        ResnetSpec(ngf=4, blocks=2, spectral_norm=False, antialias=False),
        UnetSpec(ngf=4, downs=2),
        UnetSpec(ngf=4, downs=3, norm="instance"),
    ],
    ids=["resnet, batch norm", "resnet, strided", "u-net, batch norm", "u-net, instance norm"],
)
def test_any_generator_is_exact_with_its_own_halo_and_lattice(spec: GeneratorSpec, slide: RGB) -> None:
    network = _generator(spec)
    field = network.receptive_field()
    footprint = Footprint(field.radius, field.stride, network.smallest)
    stainer = SlideStainer(network, _frozen(network, slide) if network.norm_sites() else None)
    whole = _stained(stainer, slide, list(Tiling(SIZE, 512)), footprint=footprint)
    assert np.ptp(whole) > 50
    for side in (64, 96, 128):
        assert _farthest(_stained(stainer, slide, list(Tiling(SIZE, side)), footprint=footprint), whole) <= 1


def test_tiles_normalised_by_themselves_do_depend_on_it(generator: Generator, slide: RGB) -> None:
    stainer = SlideStainer(generator)
    assert _farthest(_stained(stainer, slide, _grid(64)), _stained(stainer, slide, _grid(128))) > 20


def test_a_halo_one_step_too_small_is_noticed(generator: Generator, slide: RGB) -> None:
    stainer = SlideStainer(generator, _frozen(generator, slide))
    whole = _stained(stainer, slide, _grid(512))
    stainer.halo -= 16
    assert _farthest(_stained(stainer, slide, _grid(64)), whole) > 1


@pytest.mark.parametrize("norm", MEASURES)
def test_the_company_in_a_batch_does_not_matter(norm: str, generator: Generator, slide: RGB) -> None:
    stainer = SlideStainer(generator, MEASURES[norm](generator, slide))
    one_by_one = _stained(stainer, slide, _grid(64))
    assert _farthest(_stained(stainer, slide, _grid(64), batch=100), one_by_one) <= 1
    assert _farthest(_stained(stainer, slide, _grid(64)[::-1], batch=3), one_by_one) <= 1


def test_the_same_call_twice_gives_the_same_bits(generator: Generator, slide: RGB) -> None:
    stainers = [SlideStainer(generator, _frozen(generator, slide)) for _ in range(2)]
    first, again = (_stained(stainer, slide, _grid(64), batch=4) for stainer in stainers)
    assert np.array_equal(first, again)


def test_one_tile_normalised_by_itself_is_the_generator(generator: Generator, slide: RGB) -> None:
    tile = Tile(0, 0, Region(0, 0, 120, 80))
    pixels = _read(slide, Region(100, 0, 120, 80))
    assert np.array_equal(
        SlideStainer(generator).stain([pixels], [tile])[0], to_rgb(generator(to_tensor(pixels)[None])[0])
    )


def test_what_is_run_can_be_prepared(generator: Generator, slide: RGB) -> None:
    stainer = SlideStainer(generator, prepare=lambda network: lambda x: -network(x))
    tile, pixels = Tile(0, 0, Region(0, 0, 64, 64)), _read(slide, Region(100, 0, 64, 64))
    expected = 255 - SlideStainer(generator).stain([pixels], [tile])[0].astype(int)
    assert np.abs(stainer.stain([pixels], [tile])[0] - expected).max() <= 1
