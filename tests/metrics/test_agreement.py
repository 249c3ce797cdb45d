import itertools

import numpy as np
import pytest

from restain.metrics.statistics.agreement import (
    absolute_difference,
    agreement_icc,
    difference,
    lower_limit,
    quadratic_kappa,
    upper_limit,
)

# Shrout and Fleiss 1979, Table 2: six targets (rows) rated by four judges.
SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)


def icc_by_sums_of_squares(table):
    """ICC(2,1) of (n subjects, k raters) from the analysis of variance, as Shrout and Fleiss print it."""
    n, k = table.shape
    mean = table.mean()
    bms = k * ((table.mean(axis=1) - mean) ** 2).sum() / (n - 1)
    jms = n * ((table.mean(axis=0) - mean) ** 2).sum() / (k - 1)
    residuals = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + mean
    ems = (residuals**2).sum() / ((n - 1) * (k - 1))
    return (bms - ems) / (bms + (k - 1) * ems + k * (jms - ems) / n)


def test_icc_by_its_sums_of_squares_which_give_the_published_example():
    assert icc_by_sums_of_squares(SHROUT_FLEISS) == pytest.approx(0.29, abs=0.005)
    for first, second in itertools.combinations(range(4), 2):
        expected = icc_by_sums_of_squares(SHROUT_FLEISS[:, [first, second]])
        assert agreement_icc(SHROUT_FLEISS[:, first], SHROUT_FLEISS[:, second]) == pytest.approx(expected)


def test_icc_sees_the_offset_that_a_correlation_does_not():
    real = np.arange(10.0)
    assert agreement_icc(real, real) == pytest.approx(1.0)
    assert agreement_icc(real + 3, real) < 0.7
    assert np.isnan(agreement_icc(np.full(5, 2.0), np.full(5, 2.0)))


def test_limits_of_agreement_by_hand():
    real = np.array([10.0, 20.0, 30.0, 40.0])
    fake = real + np.array([1.0, 3.0, 1.0, 3.0])  # mean 2, standard deviation sqrt(4 / 3)
    assert difference(fake, real).mean() == absolute_difference(real, fake).mean() == 2.0
    assert lower_limit(fake, real) == pytest.approx(2 - 1.96 * np.sqrt(4 / 3))
    assert upper_limit(fake, real) == pytest.approx(2 + 1.96 * np.sqrt(4 / 3))


def kappa_from_the_table(first, second, classes):
    observed = np.zeros((classes, classes))
    for a, b in zip(first.astype(int), second.astype(int), strict=True):
        observed[a, b] += 1 / len(first)
    weights = np.subtract.outer(np.arange(classes), np.arange(classes)) ** 2
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0))
    return 1 - (weights * observed).sum() / (weights * expected).sum()


def test_quadratic_kappa_is_that_of_the_table_of_classes():
    # By hand: squared distances 0 0 1 0 4, mean 1; by chance 1.04 + 1.44 + (1.4 - 1.6)² = 2.52.
    first, second = np.array([0.0, 1, 2, 3, 1]), np.array([0.0, 1, 1, 3, 3])
    assert quadratic_kappa(first, second) == pytest.approx(1 - 1 / 2.52)
    assert quadratic_kappa(first, second) == pytest.approx(kappa_from_the_table(first, second, 4))
    generator = np.random.default_rng(1)
    first = generator.integers(0, 4, 40).astype(float)
    second = np.clip(first + generator.integers(-1, 2, 40), 0, 3)
    assert quadratic_kappa(first, second) == pytest.approx(kappa_from_the_table(first, second, 4))


def test_kappa_between_chance_and_identity():
    classes = np.array([0.0, 0, 1, 1])
    assert quadratic_kappa(classes, classes) == 1.0
    assert quadratic_kappa(classes, np.array([0.0, 1, 0, 1])) == pytest.approx(0.0)
    assert quadratic_kappa(classes, 1 - classes) == pytest.approx(-1.0)
    assert np.isnan(quadratic_kappa(np.ones(4), np.ones(4)))


@pytest.mark.parametrize("statistic", [lower_limit, upper_limit, agreement_icc, quadratic_kappa])
def test_resamples_at_once_are_resamples_one_by_one(statistic):
    generator = np.random.default_rng(2)
    fake, real = generator.integers(0, 4, (2, 30)).astype(float)
    chosen = generator.integers(30, size=(3, 5, 30))
    together = statistic(fake[chosen], real[chosen])
    assert together.shape == (3, 5)
    for place in np.ndindex(3, 5):
        assert together[place] == pytest.approx(float(statistic(fake[chosen[place]], real[chosen[place]])))
