import numpy as np
import pytest
from skimage.color import rgb2lab

from restain.colour import LabStatistics, lab_statistics, pool_statistics, transfer_colour
from restain.errors import RestainError


def make_image(seed, shape=(24, 30), low=90, high=180):
    return np.random.default_rng(seed).integers(low, high, (*shape, 3), dtype=np.uint8)


def test_statistics_are_those_of_all_pixels_together():
    images = [make_image(0), make_image(1, (10, 50), 150, 255), make_image(2, (3, 7), 0, 40)]
    pixels = np.concatenate([rgb2lab(image).reshape(-1, 3) for image in images])
    found = lab_statistics(iter(images))
    assert found.count == len(pixels)
    assert found.mean == pytest.approx(pixels.mean(axis=0), abs=1e-3)
    assert found.std == pytest.approx(pixels.std(axis=0), abs=1e-3)


def test_pooling_does_not_depend_on_the_grouping():
    images = [make_image(seed) for seed in range(4)]
    parts = [lab_statistics(images[:1]), lab_statistics(images[1:])]
    assert pool_statistics(parts).std == pytest.approx(lab_statistics(images).std)


def test_transfer_meets_the_target_statistics():
    target = LabStatistics(1, np.array([60.0, 10.0, 5.0]), np.array([6.0, 3.0, 4.0]))
    moved = rgb2lab(transfer_colour(make_image(5), target)).reshape(-1, 3)
    assert moved.mean(axis=0) == pytest.approx(target.mean, abs=0.1)  # 8-bit rounding
    assert moved.std(axis=0) == pytest.approx(target.std, abs=0.1)


def test_transfer_to_its_own_statistics_changes_nothing():
    image = make_image(6)
    moved = transfer_colour(image, lab_statistics([image]))
    assert np.abs(moved.astype(int) - image).max() <= 1


@pytest.mark.filterwarnings("error")
def test_colours_outside_srgb_are_clipped_in_silence():
    target = LabStatistics(1, np.array([20.0, 0.0, 90.0]), np.array([40.0, 60.0, 60.0]))
    moved = transfer_colour(make_image(7, low=0, high=256), target)
    assert moved.min() == 0
    assert moved.max() == 255


def test_a_flat_image_is_shifted_and_stays_flat():
    flat = np.full((6, 6, 3), (200, 160, 190), np.uint8)
    target = lab_statistics([np.full((2, 2, 3), (120, 80, 60), np.uint8)])
    assert np.abs(transfer_colour(flat, target).astype(int) - (120, 80, 60)).max() <= 1


def test_no_reference_is_refused():
    with pytest.raises(RestainError, match="no reference image"):
        lab_statistics([])
