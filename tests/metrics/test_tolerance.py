from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from restain.metrics.pixels.similarity import ssim
from restain.metrics.pixels.tolerance import tolerant_ssim
from restain.metrics.protocols import GAUSSIAN_11, UNIFORM_7
from restain.phantoms.options import PhantomOptions
from restain.phantoms.slide import Slide


@pytest.fixture(scope="module")
def ihc():
    """One virtual ER field with room for shifts: uint8 (160, 176, 3)."""
    slide = Slide("er", 5, PhantomOptions())
    view = slide.window(0, 176)
    return slide.render(view, None).ihc[:160]


def by_brute_force(real, fake, settings, reach):
    core = real[reach:-reach, reach:-reach]
    height, width = core.shape[:2]
    values = {
        (dy, dx): ssim(core, fake[reach + dy : reach + dy + height, reach + dx : reach + dx + width], settings)
        for dy, dx in product(range(-reach, reach + 1), repeat=2)
    }
    return max(values.values()), max(values, key=values.get)


def warped(rgb, seed):
    """A neighbouring section: shifted, blurred by grey levels, noisy."""
    generator = np.random.default_rng(seed)
    moved = np.roll(rgb, tuple(generator.integers(-4, 5, 2)), axis=(0, 1)).astype(float)
    moved = gaussian_filter(moved, (seed % 3, seed % 3, 0)) * generator.uniform(0.8, 1.1)
    return np.clip(moved + generator.normal(0, 12, moved.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(6))
def test_it_finds_what_brute_force_finds(ihc, seed):
    settings = [GAUSSIAN_11, replace(UNIFORM_7, data_range=510.0)][seed % 2]
    fake = warped(ihc, seed)
    found = tolerant_ssim(ihc, fake, settings, reach=4)
    value, shift = by_brute_force(ihc, fake, settings, reach=4)
    assert found.value == pytest.approx(value, abs=1e-12)
    assert (found.dy, found.dx) == shift


def test_a_pure_shift_is_forgiven_and_reported(ihc):
    found = tolerant_ssim(ihc[8:-8, 8:-8], np.roll(ihc, (5, -7), axis=(0, 1))[8:-8, 8:-8])
    assert found.value == pytest.approx(1.0)
    assert (found.dy, found.dx) == (5, -7)
    assert found.unshifted < 0.7


def test_nothing_is_gained_where_nothing_is_displaced(ihc):
    found = tolerant_ssim(ihc, ihc)
    assert (found.value, found.dy, found.dx) == (pytest.approx(1.0), 0, 0)
    white = np.full_like(ihc, 255)
    assert tolerant_ssim(white, white).dy == 0  # every shift is as good: the smallest is reported
    assert tolerant_ssim(ihc, white).value >= tolerant_ssim(ihc, white).unshifted


def test_an_image_too_small_for_the_shifts_has_no_value(ihc):
    assert np.isnan(tolerant_ssim(ihc[:26], ihc[:26]).value)
    assert np.isfinite(tolerant_ssim(ihc[:27, :40], ihc[:27, :40]).value)
