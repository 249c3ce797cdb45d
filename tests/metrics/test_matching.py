"""Nuclei found against nuclei known."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from restain.metrics.cells.matching import match_centres


def test_each_nucleus_has_one_partner_at_most_and_the_nearest_first():
    known = np.array([(0.0, 0.0), (10.0, 0.0), (50.0, 50.0)])
    found = np.array([(1.0, 0.0), (2.0, 0.0), (11.0, 0.0), (90.0, 90.0)])
    matched = match_centres(found, known, 3.0)
    assert sorted(zip(matched.found.tolist(), matched.known.tolist(), strict=True)) == [(0, 0), (2, 1)]
    assert matched.precision == pytest.approx(2 / 4) and matched.recall == pytest.approx(2 / 3)
    assert matched.f1 == pytest.approx(2 * 2 / (4 + 3))


def test_beyond_reach_nothing_is_the_same():
    assert match_centres(np.array([(0.0, 3.1)]), np.array([(0.0, 0.0)]), 3.0).f1 == 0
    assert match_centres(np.array([(0.0, 3.0)]), np.array([(0.0, 0.0)]), 3.0).f1 == 1


def test_nothing_on_a_side_has_no_precision_or_recall():
    nothing, one = np.empty((0, 2)), np.zeros((1, 2))
    assert np.isnan(match_centres(nothing, one, 3).precision) and match_centres(nothing, one, 3).recall == 0
    assert match_centres(one, nothing, 3).precision == 0 and np.isnan(match_centres(nothing, nothing, 3).f1)


def test_the_number_of_pairs_is_near_that_of_the_best_assignment():
    generator = np.random.default_rng(0)
    known = generator.uniform(0, 200, (300, 2))
    found = known + generator.normal(0, 1.5, known.shape)
    distance = np.linalg.norm(found[:, None] - known, axis=-1)
    rows, columns = linear_sum_assignment(np.where(distance <= 3, distance - 100, 0))
    best = (distance[rows, columns] <= 3).sum()
    assert 0.97 * best <= len(match_centres(found, known, 3.0).found) <= best
