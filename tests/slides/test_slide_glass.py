"""Glass turns white without an edge, wherever tiles are cut."""

import numpy as np

from restain.slides.background import FADED, KEPT, Glass
from restain.slides.tiles import Tile
from restain.types import Mpp
from restain.wsi.tissue import Tissue

WHITE = (236, 233, 238)
SIZE = (800, 960)  # at 1 µm/px, so that distances in pixels are microns


def make_glass() -> tuple[Tissue, Glass]:
    mask = np.zeros((100, 120), dtype=bool)
    mask[:, :40] = True  # tissue up to x = 320
    tissue = Tissue(mask, Mpp(8.0), WHITE, Mpp(1.0))
    return tissue, Glass(tissue, SIZE)


def test_the_network_s_image_stays_near_tissue_and_fades_to_white() -> None:
    _, glass = make_glass()
    pixels = np.zeros((*SIZE, 3), dtype=np.uint8)
    covered = glass.cover(pixels, Tile(0, 0, 0, 0, SIZE[1], SIZE[0]))
    red = covered[400, :, 0].astype(int)
    assert not red[: 320 + int(KEPT) - 8].any()
    assert (red[320 + int(FADED) + 8 :] == WHITE[0]).all()
    middle = red[320 + int(KEPT + FADED) // 2]
    assert abs(middle - WHITE[0] / 2) < WHITE[0] * 8 / (FADED - KEPT)  # within a pixel of the mask
    assert (np.diff(red) >= 0).all() and np.diff(red).max() <= np.ceil(WHITE[0] / (FADED - KEPT)) + 1


def test_the_result_does_not_depend_on_the_tiles() -> None:
    _, glass = make_glass()
    pixels = np.random.default_rng(2).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    whole = glass.cover(pixels, Tile(0, 0, 0, 0, SIZE[1], SIZE[0]))
    for x, y, width, height in ((300, 100, 200, 60), (364, 7, 33, 500), (0, 0, 64, 64)):
        part = glass.cover(pixels[y : y + height, x : x + width], Tile(0, 0, x, y, width, height))
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_a_hidden_tile_would_be_plain_white() -> None:
    _, glass = make_glass()
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    hidden = 0
    for x in range(0, SIZE[1], 64):
        tile = Tile(0, x // 64, x, 128, 64, 64)
        plain = bool((glass.cover(pixels, tile) == WHITE).all())
        hidden += glass.hides(tile)
        assert plain or not glass.hides(tile)
    assert hidden >= 6  # of the 8 that begin 128 µm or more from tissue


def test_a_slide_without_tissue_is_all_glass() -> None:
    tissue = Tissue(np.zeros((10, 10), dtype=bool), Mpp(8.0), WHITE, Mpp(1.0))
    assert Glass(tissue, (80, 80)).hides(Tile(0, 0, 0, 0, 80, 80))
