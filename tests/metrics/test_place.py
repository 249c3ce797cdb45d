import numpy as np
import pytest
from scipy import ndimage, stats

from restain.metrics import find_protocol, select_metrics
from restain.metrics.measures import MeasuredImage, MeasuredPair, measure_pair
from restain.metrics.stain.dab import dab_density
from restain.metrics.stain.place import grid_correlation, near_f, overlap, tile_means
from restain.stains import DAB, compose

MEASURES = [measure for metric in select_metrics(["place"]) for measure in metric.measures]


def ihc(density):
    return np.round(255 * compose(np.asarray(density, float)[..., None], [DAB])).astype(np.uint8)


def measured(real, fake, mpp=0.5):
    pair = MeasuredPair(
        real=MeasuredImage(real, mpp), fake=MeasuredImage(fake, mpp), source=None, protocol=find_protocol("clean")
    )
    return measure_pair(pair, MEASURES)


def test_tiles_are_means_of_32_microns_and_cover_the_image():
    density = np.random.default_rng(0).random((200, 130))
    tiles = tile_means(density, mpp=0.5)  # tiles of 64 pixels: 3 x 2, made a little larger to cover 200 x 130
    by_hand = [density[a:b, c:d].mean() for a, b in ((0, 67), (67, 133), (133, 200)) for c, d in ((0, 65), (65, 130))]
    assert tiles == pytest.approx(by_hand)
    assert len(tile_means(density, mpp=0.25)) == 1 * 1
    assert len(tile_means(density, mpp=0.1)) == 0


def test_grid_r_is_pearsons_and_a_stain_without_pattern_is_at_chance():
    real, fake = np.random.default_rng(1).random((2, 16))
    assert grid_correlation(real, fake) == pytest.approx(stats.pearsonr(real, fake).statistic)
    assert grid_correlation(real, np.full(16, 0.3)) == 0.0
    assert np.isnan(grid_correlation(np.full(16, 0.3), fake))
    assert np.isnan(grid_correlation(real[:8], fake[:8]))  # eight tiles are too few


def test_near_f_by_dilation():
    generator = np.random.default_rng(2)
    real, fake = (ndimage.gaussian_filter(generator.random((96, 96)), 3) > 0.52 for _ in range(2))
    y, x = np.mgrid[-16:17, -16:17]
    disk = y * y + x * x <= 16**2  # 8 microns at 0.5
    near_real, near_fake = (ndimage.binary_dilation(mask, disk) for mask in (real, fake))
    precision, recall = (fake & near_real).sum() / fake.sum(), (real & near_fake).sum() / real.sum()
    expected = 2 * precision * recall / (precision + recall)
    found = measured(ihc(np.where(real, 0.6, 0.0)), ihc(np.where(fake, 0.6, 0.0)))
    assert found["dab_near_f"] == pytest.approx(expected)


def test_near_f_at_its_ends():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert near_f(full, full, full, full) == 1.0
    assert near_f(full, empty, full, empty) == near_f(empty, full, empty, full) == 0.0
    assert np.isnan(near_f(empty, empty, empty, empty))
    left, right = full.copy(), full.copy()
    left[:, 2:], right[:, :2] = False, False
    assert near_f(left, right, left, right) == 0.0


def test_overlap_is_that_of_the_confusion_matrix():
    generator = np.random.default_rng(3)
    real, fake = generator.random((2, 30, 30)) > 0.6
    table = [
        (int((real & fake).sum()), int((real & ~fake).sum())),
        (int((~real & fake).sum()), int((~real & ~fake).sum())),
    ]
    (both, missed), (extra, neither) = table
    assert overlap(real, fake) == pytest.approx(
        (
            2 * both / (2 * both + missed + extra),
            both / (both + missed + extra),
            both / (both + missed),
            neither / (neither + extra),
        )
    )
    nothing, everything = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    assert overlap(nothing, nothing) == pytest.approx((np.nan, np.nan, np.nan, 1.0), nan_ok=True)
    assert overlap(everything, nothing) == pytest.approx((0.0, 0.0, 0.0, np.nan), nan_ok=True)


def test_a_blank_stain_has_no_place_and_a_turned_one_has_the_wrong_one():
    generator = np.random.default_rng(4)
    density = np.clip(ndimage.gaussian_filter(generator.normal(size=(256, 256)), 24) * 40, 0, 1)
    real = ihc(density)
    blank = measured(real, np.full_like(real, 255))
    assert blank["dab_grid_r"] == blank["dab_near_f"] == blank["dab_dice"] == blank["dab_tpr"] == 0.0
    assert blank["dab_tnr"] == 1.0
    turned, moved = real[::-1, ::-1], np.roll(real, 4, axis=0)
    assert dab_density(turned).mean() == pytest.approx(dab_density(real).mean(), rel=1e-6)
    assert measured(real, np.ascontiguousarray(turned))["dab_grid_r"] < 0.5 < 0.97 < measured(real, moved)["dab_grid_r"]
