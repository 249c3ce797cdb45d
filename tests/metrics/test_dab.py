import math

import numpy as np
import pytest
from skimage.color import separate_stains

from restain.metrics.stain.dab import dab_density, fiji_dab, integrated_density, mean_density, positive_area
from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose, stain_matrix


def render(haematoxylin, dab):
    """8-bit Beer-Lambert image of the given optical densities along Fiji's vectors."""
    light = compose(np.stack([haematoxylin, dab], axis=-1), [HEMATOXYLIN, DAB])
    return np.round(255 * light).astype(np.uint8)


def test_density_recovers_what_was_rendered():
    rows, columns = np.mgrid[0:32, 0:32] / 31
    dab = dab_density(render(0.5 * rows, 0.8 * columns))
    # one grey level at the darkest channel (OD 1.0) is 0.02 of density, twice that after unmixing
    assert np.abs(dab - 0.8 * columns).max() < 0.04
    assert mean_density(dab) == pytest.approx(0.4, abs=0.003)
    assert positive_area(dab, threshold=0.41) == pytest.approx(0.5, abs=0.04)


def test_density_agrees_with_scikit_image():
    rgb = np.random.default_rng(0).integers(1, 256, (16, 16, 3), dtype=np.uint8)
    unmixed = separate_stains(rgb, np.linalg.inv(stain_matrix(HEMATOXYLIN, DAB)))
    # scikit-image divides densities by those of its floor of 1e-6, which is 6, and clips negative amounts
    assert dab_density(rgb) == pytest.approx(6 * unmixed[..., 1], abs=1e-5)


def iod_by_the_steps(rgb, highest):
    """Fiji's steps for one image, pixel by pixel, written from the plugin's and ImageJ's description."""
    modx, mody, modz = zip(HEMATOXYLIN, DAB, strict=True)
    cosx, cosy, cosz = [], [], []
    for x, y, z in zip(modx, mody, modz, strict=True):
        length = math.sqrt(x * x + y * y + z * z)
        cosx.append(x / length)
        cosy.append(y / length)
        cosz.append(z / length)
    third = [math.sqrt(1.0 - c[0] * c[0] - c[1] * c[1]) for c in (cosx, cosy, cosz)]
    length = math.sqrt(sum(t * t for t in third))
    for cosines, t in zip((cosx, cosy, cosz), third, strict=True):
        cosines.append(t / length)
    # Cramer's rule for the second stain: amounts c solve sum_i c_i * (cosx_i, cosy_i, cosz_i) = densities
    log255 = math.log(255.0)
    total = 0.0
    for red, green, blue in rgb.reshape(-1, 3).tolist():
        logs = [-(255.0 * math.log((value + 1) / 255.0)) / log255 for value in (red, green, blue)]
        matrix = np.array([cosx, cosy, cosz])
        replaced = matrix.copy()
        replaced[:, 1] = logs
        scaled = np.linalg.det(replaced) / np.linalg.det(matrix)
        output = min(255.0, math.exp(-(scaled - 255.0) * log255 / 255.0))
        raw = math.floor(output + 0.5)  # Colour_2, 8-bit
        if raw <= highest:
            total += math.log10(255.0 / (raw or 0.5))  # Uncalibrated OD
    return total


@pytest.mark.parametrize("seed", range(3))
def test_integrated_density_is_fijis_step_by_step(seed):
    generator = np.random.default_rng(seed)
    rgb = render(generator.uniform(0, 0.8, (24, 24)), generator.uniform(0, 1.6, (24, 24)))
    rgb[0] = generator.integers(0, 256, (24, 3))  # colours outside the stain cone, black and white too
    rgb[1, 0], rgb[1, 1] = 0, 255
    for highest in (255, 100):  # as published, and what a threshold that is applied would leave
        expected = iod_by_the_steps(rgb, highest)
        assert expected > 50
        assert integrated_density(rgb, highest) == pytest.approx(expected, rel=1e-9)
    assert integrated_density(rgb) > integrated_density(rgb, 100)


def test_the_published_sum_and_the_thresholded_one_can_order_images_differently():
    """Weak stain everywhere against a little strong stain: only the threshold makes the second the larger."""
    weak = render(np.zeros((20, 20)), np.full((20, 20), 0.3))
    strong = render(np.zeros((20, 20)), np.where(np.arange(400).reshape(20, 20) < 60, 1.0, 0.0))
    assert integrated_density(weak) > integrated_density(strong)
    assert integrated_density(weak, 100) < integrated_density(strong, 100)


def test_fijis_third_vector_is_not_the_cross_product():
    """Eosin lies outside the stain cone of H-DAB: Fiji reads 85 % of it as DAB, the cross product 13 %."""
    eosin = np.round(255 * compose(np.array([[[0.5]]]), [EOSIN])).astype(np.uint8)
    assert math.log10(255 / fiji_dab(eosin)[0, 0]) == pytest.approx(0.85 * 0.5, abs=0.02)
    assert dab_density(eosin)[0, 0] == pytest.approx(0.13 * 0.5, abs=0.02)
    dab = render(np.array([[0.0]]), np.array([[0.5]]))
    assert math.log10(255 / fiji_dab(dab)[0, 0]) == pytest.approx(0.5, abs=0.02)
    assert dab_density(dab)[0, 0] == pytest.approx(0.5, abs=0.02)


def test_white_glass_has_no_dab():
    white = np.full((5, 5, 3), 255, np.uint8)
    assert mean_density(dab_density(white)) == 0
    assert positive_area(dab_density(white)) == 0
    assert integrated_density(white) == 0


def test_integrated_density_adds_up_over_tiles():
    generator = np.random.default_rng(5)
    rgb = render(generator.uniform(0, 0.5, (20, 20)), generator.uniform(0, 1.5, (20, 20)))
    halves = integrated_density(rgb[:9]) + integrated_density(rgb[9:])
    assert integrated_density(rgb) == pytest.approx(halves)
