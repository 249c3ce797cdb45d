"""Stain mathematics: Beer-Lambert and Ruifrok undo each other, and agree with scikit-image."""

import numpy as np
import pytest
from skimage.color import separate_stains

from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose, optical_density, separate, stain_matrix, tissue_mask


def test_optical_density_by_hand() -> None:
    rgb = np.array([[255, 128, 0]], dtype=np.uint8)
    np.testing.assert_allclose(optical_density(rgb)[0], [0, -np.log10(128 / 255), np.log10(255)], rtol=1e-6)


@pytest.mark.parametrize("second", [DAB, EOSIN])
def test_deconvolution_recovers_what_was_mixed(second: tuple[float, ...]) -> None:
    amounts = np.random.default_rng(0).uniform(0, 0.8, (50, 60, 2))
    light = compose(amounts, (HEMATOXYLIN, second))
    rgb = np.round(light * 255).astype(np.uint8)
    found = separate(rgb, HEMATOXYLIN, second)
    np.testing.assert_allclose(found[..., :2], amounts, atol=0.03)  # rounding to 8 bits
    assert np.abs(found[..., 2]).max() < 0.03


def test_deconvolution_agrees_with_scikit_image() -> None:
    rgb = np.random.default_rng(1).integers(1, 256, (20, 20, 3), dtype=np.uint8)
    unmix = np.linalg.inv(stain_matrix(HEMATOXYLIN, DAB))
    # scikit-image divides by log(1e-6) and clips below zero; ours keeps the sign and the decadic density.
    theirs = separate_stains(rgb, unmix) * -np.log(1e-6) / np.log(10)
    np.testing.assert_allclose(np.maximum(separate(rgb, HEMATOXYLIN, DAB), 0), theirs, atol=1e-5)


def test_no_stain_is_clear_glass() -> None:
    assert np.all(compose(np.zeros((4, 2)), (HEMATOXYLIN, DAB)) == 1)
    assert not tissue_mask(np.full((3, 3, 3), 250, np.uint8)).any()
    assert tissue_mask(np.full((3, 3, 3), 150, np.uint8)).all()
