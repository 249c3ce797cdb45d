"""Background is filled with one colour without an edge, wherever tiles are cut, and in the network's own shade."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from small_slides import Identity, write_slide

from restain.images import RGB
from restain.slides.background import FADED, KEPT, Background
from restain.slides.options import SlideOptions
from restain.slides.run import single
from restain.slides.run.job import Job
from restain.slides.run.single import stain_slide
from restain.slides.tiling import Tile
from restain.stainer_files import load_stainer
from restain.types import Mpp
from restain.wsi.geometry import Region, Size
from restain.wsi.tissue import Tissue

WHITE = (236, 233, 238)
SIZE = Size(960, 800)  # at 1 µm/px, so that distances in pixels are microns


def make_background() -> Background:
    mask = np.zeros((100, 120), dtype=bool)
    mask[:, :40] = True  # tissue up to x = 320
    return Background(Tissue(mask, Mpp(8.0), WHITE, Mpp(1.0)), SIZE)


def test_the_network_s_image_stays_near_tissue_and_fades_to_white() -> None:
    background = make_background()
    pixels = np.zeros((*SIZE.shape, 3), dtype=np.uint8)
    covered = background.blend(pixels, SIZE.region, WHITE)
    red = covered[400, :, 0].astype(int)
    assert not red[: 320 + int(KEPT) - 8].any()
    assert (red[320 + int(FADED) + 8 :] == WHITE[0]).all()
    middle = red[320 + int(KEPT + FADED) // 2]
    assert abs(middle - WHITE[0] / 2) < WHITE[0] * 8 / (FADED - KEPT)  # within a pixel of the mask
    assert (np.diff(red) >= 0).all() and np.diff(red).max() <= np.ceil(WHITE[0] / (FADED - KEPT)) + 1


def test_the_result_does_not_depend_on_the_tiles() -> None:
    background = make_background()
    pixels = np.random.default_rng(2).integers(0, 256, (*SIZE.shape, 3), dtype=np.uint8)
    whole = background.blend(pixels, SIZE.region, WHITE)
    for x, y, width, height in ((300, 100, 200, 60), (364, 7, 33, 500), (0, 0, 64, 64)):
        part = background.blend(pixels[y : y + height, x : x + width], Region(x, y, width, height), WHITE)
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_a_hidden_tile_would_be_plain_white() -> None:
    background = make_background()
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    hidden = 0
    for x in range(0, SIZE.width, 64):
        tile = Region(x, 128, 64, 64)
        plain = bool((background.blend(pixels, tile, WHITE) == WHITE).all())
        hidden += background.hides(tile)
        assert plain or not background.hides(tile)
    assert hidden >= 6  # of the 8 that begin 128 µm or more from tissue


def test_a_slide_without_tissue_is_all_background() -> None:
    tissue = Tissue(np.zeros((10, 10), dtype=bool), Mpp(8.0), WHITE, Mpp(1.0))
    assert Background(tissue, Size(80, 80)).hides(Region(0, 0, 80, 80))


class Darker(Identity):
    """Paints everything, the glass too, a little darker."""

    by = 7

    def stain(self, inputs: list[RGB], tiles: list[Tile]) -> list[RGB]:
        return [(np.maximum(pixels, self.by) - self.by).astype(np.uint8) for pixels in super().stain(inputs, tiles)]


class Dark(Darker):
    """Paints glass as if it were stained."""

    by = 60


class Tinted(Identity):
    """Paints glass as bright as it is, but pink."""

    def stain(self, inputs: list[RGB], tiles: list[Tile]) -> list[RGB]:
        return [
            np.clip(pixels + np.array([19, -22, 10]), 0, 255).astype(np.uint8)
            for pixels in super().stain(inputs, tiles)
        ]


@pytest.mark.parametrize(("network", "shade"), [(Identity, 0), (Darker, 7), (Dark, 0), (Tinted, 0)])
@pytest.mark.parametrize("seams", ["exact", "feather"])
def test_it_is_filled_with_what_the_network_paints_for_glass(
    stainer_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    network: type[Identity],
    shade: int,
    seams: str,
) -> None:
    monkeypatch.setattr(single, "SlideStainer", network)
    he = np.full((600, 1400, 3), WHITE, dtype=np.uint8)
    he[200:400, 200:400] = np.random.default_rng(0).integers(90, 180, (200, 200, 3))
    job = Job(write_slide(tmp_path / "he.tif", he), tmp_path / "out" / "he.ome.tif")
    options = SlideOptions(lossless=True, tile=128, seams=seams)  # type: ignore[arg-type]
    record = stain_slide(job, load_stainer(stainer_folder), options, quiet=True)
    painted = tuple(value - shade for value in WHITE)
    assert record.background == painted
    pixels = np.asarray(tifffile.imread(job.target))
    assert (pixels[:, 1000:] == painted).all()
    # No ring: glass beside tissue is the glass far from it, or it is cut off 16 µm from the tissue.
    beside = 48 if network in (Dark, Tinted) else 10  # pixels of 0.5 µm, and one of the mask
    assert (pixels[: 200 - beside, :] == painted).all() and (pixels[400 + beside :, :] == painted).all()
    assert (pixels[200:400, 200:400] != painted).any(axis=2).mean() > 0.99
