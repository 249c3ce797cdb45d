"""Tiles, halos, and the proof that a slide's stain does not depend on how it is cut."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from restain.errors import RestainError
from restain.images import RGB
from restain.networks.norms import ImageNorm
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import ResnetSpec
from restain.slides.seamless.frozen import LocalStatistics, Statistics, measure_slide
from restain.slides.seamless.local import measure_local
from restain.slides.slide_stainer import LATTICE, SlideStainer, receptive_radius
from restain.slides.tiling import Tile, Tiling, check_tile_side, padded_region
from restain.tensors import to_rgb, to_tensor
from restain.wsi.geometry import Region, Size

HEIGHT, WIDTH = 250, 390  # neither of them a multiple of 4
SIZE = Size(WIDTH, HEIGHT)


@pytest.fixture(scope="module")
def generator() -> ResnetGenerator:
    """Weights of a trained network's size, so that differences are not rounded away."""
    return _generator(blocks=1)


def _generator(blocks: int) -> ResnetGenerator:
    network = ResnetSpec(ngf=4, blocks=blocks, spectral_norm=False).build()
    stream = torch.Generator().manual_seed(blocks)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, generator=stream)
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


def _stained(stainer: SlideStainer, slide: RGB, tiles: list[Tile], batch: int = 1) -> RGB:
    out = np.zeros_like(slide)
    for start in range(0, len(tiles), batch):
        part = tiles[start : start + batch]
        inputs = [_read(slide, padded_region(tile.region, stainer.halo, SIZE, LATTICE)) for tile in part]
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


def _frozen(generator: ResnetGenerator, slide: RGB) -> Statistics:
    return measure_slide(generator, [_read(slide, Region(x, 64, 96, 96)) for x in (80, 176, 272)])


def _local(generator: ResnetGenerator, slide: RGB) -> LocalStatistics:
    return measure_local(generator, lambda region: _read(slide, region), slide.min(2) < 235, SIZE, 32, 64)


MEASURES: dict[str, Callable[[ResnetGenerator, RGB], Statistics | LocalStatistics]] = {
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
        check_tile_side(side, LATTICE)


def test_padded_regions_lie_on_the_lattice_within_the_canonical_domain() -> None:
    for tile in _grid(64, shift=20):
        inner = tile.region
        padded = padded_region(inner, 40, SIZE, LATTICE)
        assert all(number % 4 == 0 for number in (padded.x, padded.y, padded.width, padded.height))
        assert 0 <= padded.x <= inner.x and inner.right <= padded.right <= 392
        assert 0 <= padded.y <= inner.y and inner.bottom <= padded.bottom <= 252
        assert padded.x in (0, inner.x - 40) and padded.y in (0, inner.y - 40)
        assert padded.right == min(392, inner.right + 40 + (-inner.width % 4))
    assert padded_region(Region(0, 0, 3, 5), 40, Size(3, 5), LATTICE) == Region(0, 0, 16, 16)


@pytest.mark.parametrize(("blocks", "radius"), [(6, 69), (9, 93)])
def test_the_radius_of_the_published_networks(blocks: int, radius: int) -> None:
    # By hand: encoder 3 + 1 + 1 + 2 + 2, blocks 8 each, decoder 4 + 2 + 2 + 1 + 3.
    assert receptive_radius(ResnetSpec(ngf=1, blocks=blocks, spectral_norm=False).build()) == -(-radius // 4) * 4


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_radius_is_where_gradients_end(blocks: int) -> None:
    network = ResnetSpec(ngf=2, blocks=blocks, spectral_norm=False).build().double().eval()
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.weight, 0.01, 0.1, generator=torch.Generator().manual_seed(0))
        for name, child in module.named_children():
            if isinstance(child, ImageNorm | nn.ReLU | nn.Tanh):
                setattr(module, name, nn.Identity())
    radius, reached = receptive_radius(network), 0
    x = torch.zeros(1, 3, 16, 256, dtype=torch.float64, requires_grad=True)
    for phase in range(4):
        pixel = 128 + phase
        (gradient,) = torch.autograd.grad(network(x)[0, :, 8, pixel].sum(), x)
        touched = gradient[0].abs().sum(dim=(0, 1)).nonzero()
        reached = max(reached, pixel - int(touched.min()), int(touched.max()) - pixel)
    assert radius - 4 < reached <= radius


@pytest.mark.parametrize("norm", MEASURES)
def test_the_result_does_not_depend_on_the_tiling(norm: str, generator: ResnetGenerator, slide: RGB) -> None:
    stainer = SlideStainer(generator, MEASURES[norm](generator, slide))
    whole = _stained(stainer, slide, _grid(512))
    assert stainer.norm == norm and stainer.halo == 32
    assert np.ptp(whole) > 100
    for tile, shift in ((64, 0), (128, 0), (64, 20), (128, 44), (256, 100)):
        assert _farthest(_stained(stainer, slide, _grid(tile, shift)), whole) <= 1


def test_tiles_normalised_by_themselves_do_depend_on_it(generator: ResnetGenerator, slide: RGB) -> None:
    stainer = SlideStainer(generator)
    assert stainer.norm == "tile"
    assert _farthest(_stained(stainer, slide, _grid(64)), _stained(stainer, slide, _grid(128))) > 20


def test_a_halo_one_step_too_small_is_noticed(generator: ResnetGenerator, slide: RGB) -> None:
    stainer = SlideStainer(generator, _frozen(generator, slide))
    whole = _stained(stainer, slide, _grid(512))
    stainer.halo -= 16
    assert _farthest(_stained(stainer, slide, _grid(64)), whole) > 1


@pytest.mark.parametrize("norm", MEASURES)
def test_the_company_in_a_batch_does_not_matter(norm: str, generator: ResnetGenerator, slide: RGB) -> None:
    stainer = SlideStainer(generator, MEASURES[norm](generator, slide))
    one_by_one = _stained(stainer, slide, _grid(64))
    assert _farthest(_stained(stainer, slide, _grid(64), batch=100), one_by_one) <= 1
    assert _farthest(_stained(stainer, slide, _grid(64)[::-1], batch=3), one_by_one) <= 1


def test_the_same_call_twice_gives_the_same_bits(generator: ResnetGenerator, slide: RGB) -> None:
    stainers = [SlideStainer(generator, _frozen(generator, slide)) for _ in range(2)]
    first, again = (_stained(stainer, slide, _grid(64), batch=4) for stainer in stainers)
    assert np.array_equal(first, again)


def test_one_tile_normalised_by_itself_is_the_generator(generator: ResnetGenerator, slide: RGB) -> None:
    tile = Tile(0, 0, Region(0, 0, 120, 80))
    pixels = _read(slide, Region(100, 0, 120, 80))
    assert np.array_equal(
        SlideStainer(generator).stain([pixels], [tile])[0], to_rgb(generator(to_tensor(pixels)[None])[0])
    )


def test_what_is_run_can_be_prepared(generator: ResnetGenerator, slide: RGB) -> None:
    stainer = SlideStainer(generator, prepare=lambda network: lambda x: -network(x))
    tile, pixels = Tile(0, 0, Region(0, 0, 64, 64)), _read(slide, Region(100, 0, 64, 64))
    expected = 255 - SlideStainer(generator).stain([pixels], [tile])[0].astype(int)
    assert np.abs(stainer.stain([pixels], [tile])[0] - expected).max() <= 1
