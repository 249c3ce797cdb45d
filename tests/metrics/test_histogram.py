import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from restain.metrics.stain.histogram import (
    dab_histograms,
    jensen_shannon,
    kullback_leibler,
    softplus_density,
    top_decile,
)
from restain.stains import DAB, HEMATOXYLIN, compose, optical_density


def brown(density):
    return np.round(255 * compose(np.asarray(density)[..., None], [DAB])).astype(np.uint8)


def test_density_is_the_pseudo_inverse_under_a_softplus():
    rgb = np.random.default_rng(0).integers(1, 256, (9, 11, 3), dtype=np.uint8)
    vectors = np.array([HEMATOXYLIN, DAB])
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    dab = (optical_density(rgb) @ np.linalg.pinv(vectors))[..., 1]
    assert softplus_density(rgb) == pytest.approx(np.log1p(np.exp(5 * dab)) / 5, abs=1e-5)
    assert softplus_density(np.full((1, 1, 3), 255, np.uint8)) == pytest.approx(np.log(2) / 5)


def test_histograms_of_two_flat_images():
    real, fake = brown(np.full((4, 4), 1.0)), brown(np.full((4, 8), 0.5))
    p, q = dab_histograms(real, fake)
    assert p.sum() == pytest.approx(1) and q.sum() == pytest.approx(1)
    assert p.argmax() == 255  # the larger maximum of the two ends the range
    assert q.argmax() == int(256 * softplus_density(fake)[0, 0] / softplus_density(real)[0, 0])
    assert jensen_shannon(p, q) == pytest.approx(np.log(2), abs=1e-6)
    # All of q's mass lies where p has only the floor of 1e-10 beside its density of one bin.
    width = (float(softplus_density(real).max()) + 1e-6) / 256
    assert kullback_leibler(q, p) == pytest.approx(np.log(1 / (1e-10 * width)), rel=1e-4)


def test_divergences_by_hand_and_by_scipy():
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    assert kullback_leibler(p, q) == pytest.approx(0.25 * np.log(2))
    assert jensen_shannon(p, q) == pytest.approx(jensenshannon(p, q) ** 2)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))
    assert kullback_leibler(p, p) == jensen_shannon(p, p) == 0


def test_place_does_not_matter():
    generator = np.random.default_rng(1)
    real = brown(generator.uniform(0, 1, (16, 16)))
    shuffled = generator.permutation(real.reshape(-1, 3)).reshape(real.shape)
    assert kullback_leibler(*dab_histograms(real, shuffled)) == 0


def test_top_decile_is_the_mean_of_the_largest_tenth():
    assert top_decile(np.arange(100.0).reshape(10, 10)) == pytest.approx(94.5)
    assert top_decile(np.arange(15.0)[None]) == pytest.approx(13.5)  # a tenth of 15, rounded up: 2
