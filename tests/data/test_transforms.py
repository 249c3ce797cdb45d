import numpy as np
import pytest

from restain.data.transforms import Crop, check_crop, draw_crop
from restain.errors import RestainError


def test_crop_cuts_and_mirrors():
    rgb = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    np.testing.assert_array_equal(Crop(1, 2, 3, False).apply(rgb), rgb[1:4, 2:5])
    flipped = Crop(1, 2, 3, True).apply(rgb)
    for y in range(3):
        for x in range(3):
            np.testing.assert_array_equal(flipped[y, x], rgb[1 + y, 4 - x])


def test_crops_reach_every_place_evenly_and_flip_half_of_the_time():
    rng = np.random.default_rng(0)
    draws = [draw_crop((6, 5), 4, True, rng) for _ in range(6000)]
    counts = np.zeros((3, 2, 2))
    for crop in draws:
        counts[crop.top, crop.left, int(crop.flip)] += 1
    chi_square = ((counts - 500) ** 2 / 500).sum()
    assert chi_square < 31.3  # 0.999 quantile at 11 degrees of freedom


def test_no_flip_where_it_is_off_and_the_whole_image_where_it_fits_exactly():
    rng = np.random.default_rng(0)
    assert {draw_crop((4, 4), 4, False, rng) for _ in range(50)} == {Crop(0, 0, 4, False)}


def test_too_small_an_image_is_named():
    check_crop((64, 64), 64, "fits.png")
    with pytest.raises(RestainError, match=r"small\.png: is 64 x 63 pixels; expected at least the crop, 64"):
        check_crop((64, 63), 64, "small.png")
