from dataclasses import replace

import numpy as np
import pytest

from restain.data.transforms import Crop, Jitter, check_crop, draw_crop
from restain.errors import RestainError
from restain.stains import EOSIN, HEMATOXYLIN, compose, separate


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


def test_jitter_scales_brightness_about_black() -> None:
    rgb = np.full((4, 4, 3), 100, np.uint8)
    found = {int(Jitter(brightness=0.3).apply(rgb, np.random.default_rng(seed)).max()) for seed in range(300)}
    assert {70, 130} & {min(found), max(found)} and min(found) >= 70 and max(found) <= 130 and len(found) > 40


def test_jitter_of_saturation_keeps_grey_and_of_contrast_keeps_the_mean() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(rng.integers(0, 256, (6, 6, 1), dtype=np.uint8), 3, axis=2)
    assert np.array_equal(Jitter(saturation=0.9).apply(grey, rng), grey)
    colours = rng.integers(100, 150, (6, 6, 3), dtype=np.uint8)
    changed = Jitter(contrast=0.5).apply(colours, rng)
    weights = [0.299, 0.587, 0.114]
    assert (changed @ weights).mean() == pytest.approx((colours @ weights).mean(), abs=0.3)
    assert changed.std() != pytest.approx(colours.std(), rel=0.02)


def test_no_jitter_gives_the_image_back() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    assert np.array_equal(Jitter().apply(rgb, np.random.default_rng(1)), rgb)


def test_turns_are_quarters_and_draw_nothing_where_they_are_off() -> None:
    rgb = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    for turns in range(4):
        np.testing.assert_array_equal(Crop(0, 0, 4, True, turns).apply(rgb), np.rot90(rgb[:, ::-1], turns))
    turned = [draw_crop((6, 5), 4, True, np.random.default_rng(seed), turns=True) for seed in range(400)]
    plain = [draw_crop((6, 5), 4, True, np.random.default_rng(seed)) for seed in range(400)]
    assert [replace(crop, turns=0) for crop in turned] == plain
    assert min(np.bincount([crop.turns for crop in turned], minlength=4)) > 70


def test_stain_jitter_scales_haematoxylin_and_eosin_and_nothing_else() -> None:
    stains = (HEMATOXYLIN, EOSIN)
    amounts = np.random.default_rng(0).uniform(0.1, 0.5, (6, 6, 2))
    rgb = np.rint(255 * compose(amounts, np.array(stains))).astype(np.uint8)
    before = separate(rgb, *stains)
    ratios = []
    for seed in range(200):
        after = separate(Jitter(stain=0.3).apply(rgb, np.random.default_rng(seed)), *stains)
        ratio = after[..., :2] / before[..., :2]
        np.testing.assert_allclose(ratio, np.broadcast_to(np.median(ratio, axis=(0, 1)), ratio.shape), atol=0.12)
        np.testing.assert_allclose(after[..., 2], before[..., 2], atol=0.02)
        ratios.append(np.median(ratio, axis=(0, 1)))
    assert np.min(ratios) < 0.75 and np.max(ratios) > 1.25 and np.min(ratios) > 0.68 and np.max(ratios) < 1.32
    assert abs(np.corrcoef(np.array(ratios).T)[0, 1]) < 0.25
