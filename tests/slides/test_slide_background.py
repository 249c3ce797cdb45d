"""Background turns white without an edge, wherever tiles are cut."""

import numpy as np

from restain.slides.background import FADED, KEPT, Background
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
    covered = background.blend(pixels, SIZE.region)
    red = covered[400, :, 0].astype(int)
    assert not red[: 320 + int(KEPT) - 8].any()
    assert (red[320 + int(FADED) + 8 :] == WHITE[0]).all()
    middle = red[320 + int(KEPT + FADED) // 2]
    assert abs(middle - WHITE[0] / 2) < WHITE[0] * 8 / (FADED - KEPT)  # within a pixel of the mask
    assert (np.diff(red) >= 0).all() and np.diff(red).max() <= np.ceil(WHITE[0] / (FADED - KEPT)) + 1


def test_the_result_does_not_depend_on_the_tiles() -> None:
    background = make_background()
    pixels = np.random.default_rng(2).integers(0, 256, (*SIZE.shape, 3), dtype=np.uint8)
    whole = background.blend(pixels, SIZE.region)
    for x, y, width, height in ((300, 100, 200, 60), (364, 7, 33, 500), (0, 0, 64, 64)):
        part = background.blend(pixels[y : y + height, x : x + width], Region(x, y, width, height))
        np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


def test_a_hidden_tile_would_be_plain_white() -> None:
    background = make_background()
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    hidden = 0
    for x in range(0, SIZE.width, 64):
        tile = Region(x, 128, 64, 64)
        plain = bool((background.blend(pixels, tile) == WHITE).all())
        hidden += background.hides(tile)
        assert plain or not background.hides(tile)
    assert hidden >= 6  # of the 8 that begin 128 µm or more from tissue


def test_a_slide_without_tissue_is_all_background() -> None:
    tissue = Tissue(np.zeros((10, 10), dtype=bool), Mpp(8.0), WHITE, Mpp(1.0))
    assert Background(tissue, Size(80, 80)).hides(Region(0, 0, 80, 80))
