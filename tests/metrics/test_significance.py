import itertools

import numpy as np
import pytest
from scipy import stats

from restain.metrics.statistics.averages import PEARSON, pearson
from restain.metrics.statistics.bootstrap import NotComputed
from restain.metrics.statistics.significance import Comparison, compare_means, compare_sets, correct_family, holm


def test_the_exact_test_agrees_with_scipy():
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.3, 1, 11), generator.normal(0, 1, 11)
    found = compare_means(first, second, seed=0)
    other = stats.permutation_test(
        (first, second), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples", vectorized=True
    )
    assert found.p == pytest.approx(other.pvalue)
    assert found.difference == pytest.approx((first - second).mean())
    assert found.ci95[0] < found.difference < found.ci95[1]
    assert "exact" in found.test


def test_random_sign_patterns_agree_with_the_t_test_on_gaussian_differences():
    generator = np.random.default_rng(1)
    first, second = generator.normal(0.2, 1, 60), generator.normal(0, 1, 60)
    found = compare_means(first, second, seed=0)
    assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)
    assert "10000 random" in found.test
    assert compare_means(second, first, seed=0).p == pytest.approx(found.p, abs=0.01)
    assert compare_means(first, second, seed=0) == found


def test_images_of_a_group_change_sign_together():
    groups = np.repeat(np.arange(6), 3)
    gap = np.random.default_rng(2).normal(0.5, 1, 18)
    found = compare_means(gap, np.zeros(18), seed=0, groups=groups)
    sums = gap.reshape(6, 3).sum(axis=1)
    patterns = np.array(list(itertools.product((-1, 1), repeat=6)))
    assert found.p == pytest.approx(np.mean(np.abs(patterns @ sums) >= abs(sums.sum()) - 1e-12))
    assert found.p >= 2 / 2**6


def test_under_the_hypothesis_p_values_are_uniform():
    generator = np.random.default_rng(3)
    p_values = [compare_means(*generator.normal(size=(2, 9)), seed=0).p for _ in range(200)]
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)


def test_equal_systems_have_p_1():
    x = np.arange(8.0)
    assert compare_means(x, x, seed=0).p == 1


def family(p_values, units, n=None):
    comparisons = []
    for p in p_values:
        gap = np.arange(1.0, (n or units) + 1)
        groups = np.arange(n) % units if n else None
        one = compare_means(gap, np.zeros(len(gap)), seed=0, groups=groups)
        comparisons.append(Comparison(**{**vars(one), "p": p}))
    return correct_family(comparisons)


def test_a_family_that_no_data_could_decide_says_so_instead_of_a_p():
    smallest = 2 / 2**8  # all eight groups agree
    assert compare_means(np.arange(1.0, 9), np.zeros(8), seed=0).p == smallest
    hopeless = family([smallest] * 27, units=8, n=16)
    assert {one.p for one in hopeless} == {one.p_holm for one in hopeless} == {None}
    assert hopeless[0].test.startswith("no test: cannot be tested with 8 groups and 27 pairs")
    assert 27 * smallest > 0.05 > 6 * smallest
    assert [one.p_holm for one in family([smallest] * 6, units=8)] == [6 * smallest] * 6
    assert "cannot be tested with 5 images and 1 pair (" in family([2 / 2**5], units=5)[0].test
    assert family([], units=8) == []


def test_too_few_images_have_a_difference_and_no_interval():
    found = compare_means(np.arange(5.0), np.zeros(5), seed=0)
    assert (found.difference, found.ci95, found.smallest_p) == (2, None, 2 / 2**5)
    grouped = compare_means(np.arange(8.0), np.zeros(8), seed=0, groups=np.arange(8) % 2)
    assert (grouped.units, grouped.ci95) == (2, None)


def test_images_without_a_value_are_left_out_of_both():
    first, second = np.array([np.nan, 1, 2, 3, 4, 5, 6, 7]), np.array([9, np.nan, 1, 1, 1, 1, 1, 1])
    found = compare_means(first, second, seed=0)
    assert (found.n, found.difference) == (6, pytest.approx(3.5))
    with pytest.raises(NotComputed, match="infinite"):
        compare_means(np.array([np.inf, 1]), np.array([1.0, 2]), seed=0)
    with pytest.raises(NotComputed, match="no image has a value in both"):
        compare_means(np.array([np.nan, 1]), np.array([1, np.nan]), seed=0)


def test_a_difference_of_correlations_has_an_interval_and_no_p():
    generator = np.random.default_rng(4)
    real = generator.normal(size=40)
    good, poor = real + 0.1 * generator.normal(size=40), real + 2 * generator.normal(size=40)
    found = compare_sets(PEARSON, [good, real], [poor, real], seed=0)
    assert found.difference == pytest.approx(pearson(good, real) - pearson(poor, real))
    assert found.ci95[0] > 0
    assert found.p is None
    with pytest.raises(NotComputed, match="has no value"):
        compare_sets(PEARSON, [np.ones(40), real], [poor, real], seed=0)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1, 1]
    assert holm([]) == []
