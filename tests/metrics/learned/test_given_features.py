"""Scores of features that a user's own encoder gave."""

import numpy as np
import pytest

from restain.metrics import NotComputed
from restain.metrics.learned.frechet import fit_gaussian, frechet_distance
from restain.metrics.learned.given_features import given_frechet, given_kernel, probe_classes
from restain.metrics.learned.kernel import kernel_distance


def features(shift, n=60, dimensions=16, seed=0):
    """Three classes, each in a direction of its own, and noise."""
    generator = np.random.default_rng(seed)
    classes = np.arange(n) % 3
    rows = generator.normal(0, 1, (n, dimensions))
    rows[np.arange(n), classes] += 5
    return rows + shift, [f"{number}+" for number in classes]


def test_distances_are_those_of_any_features():
    (real, _), (fake, _) = features(0.0), features(0.5, seed=1)
    assert given_frechet(real, fake).value == pytest.approx(frechet_distance(fit_gaussian(real), fit_gaussian(fake)))
    assert given_kernel(real, fake).value == pytest.approx(1000 * kernel_distance(real, fake))
    assert given_frechet(real, real).value == pytest.approx(0, abs=1e-9)
    assert "fewer images than the 16 features" in given_frechet(real[:9], fake[:9]).note


def test_a_probe_reads_the_class_where_the_features_hold_it():
    real, classes = features(0.0)
    right, of_real = probe_classes(real, real, classes, None)
    assert np.array_equal(right, of_real) and of_real.mean() > 0.9
    generator = np.random.default_rng(3)
    shuffled, _ = probe_classes(real, real[generator.permutation(len(real))], classes, None)
    assert shuffled.mean() < 0.55


def test_no_group_is_learned_from_and_asked():
    """A feature that tells the group and nothing else gives nothing away."""
    groups = np.repeat(np.arange(12), 5)
    classes = [str(number % 2) for number in groups]
    rows = np.eye(12)[groups] + 0.01 * np.random.default_rng(0).normal(size=(60, 12))
    leaking, _ = probe_classes(rows, rows, classes, None)
    kept, _ = probe_classes(rows, rows, classes, groups)
    assert leaking.mean() > 0.9 and kept.mean() < 0.7


def test_a_probe_needs_classes_and_images():
    real, classes = features(0.0, n=9)
    with pytest.raises(NotComputed, match="at least 2 classes, all images are of class '0'"):
        probe_classes(real, real, ["0"] * 9, None)
    with pytest.raises(NotComputed, match="at least 5 images or groups, there are 3"):
        probe_classes(real, real, classes, np.arange(9) % 3)
