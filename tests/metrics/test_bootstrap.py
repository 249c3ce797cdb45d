import numpy as np
import pytest
from scipy import stats

from restain.metrics.stain.correlation import mean_defined, pearson
from restain.metrics.statistics.bootstrap import NotComputed, percentile_interval


def test_interval_agrees_with_scipy():
    x = np.random.default_rng(0).gamma(2.0, size=40)
    low, high = percentile_interval(mean_defined, [x], seed=1)
    other = stats.bootstrap((x,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(2))
    assert low == pytest.approx(other.confidence_interval.low, abs=0.03)
    assert high == pytest.approx(other.confidence_interval.high, abs=0.03)


def test_interval_of_a_correlation_resamples_pairs_together():
    generator = np.random.default_rng(3)
    x = generator.normal(size=60)
    y = x + 0.5 * generator.normal(size=60)
    low, high = percentile_interval(pearson, [x, y], seed=4)
    other = stats.bootstrap(
        (x, y),
        lambda a, b, axis: pearson(a, b),
        paired=True,
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(5),
    )
    assert low == pytest.approx(other.confidence_interval.low, abs=0.02)
    assert high == pytest.approx(other.confidence_interval.high, abs=0.02)
    assert low < pearson(x, y) < high


def test_coverage_on_gaussian_data():
    """The true mean lies inside in 95 % of experiments; the percentile interval is slightly narrow at n = 40."""
    generator = np.random.default_rng(6)
    trials = 300
    inside = 0
    for trial in range(trials):
        low, high = percentile_interval(mean_defined, [generator.normal(10, 2, 40)], seed=trial, resamples=600)
        inside += low <= 10 <= high
    assert 0.90 <= inside / trials <= 0.98


def test_seed_decides_and_chunks_do_not_show(monkeypatch):
    x = np.random.default_rng(7).normal(size=30)
    first = percentile_interval(mean_defined, [x], seed=8, resamples=1000)
    assert percentile_interval(mean_defined, [x], seed=8, resamples=1000) == first
    assert percentile_interval(mean_defined, [x], seed=9, resamples=1000) != first
    monkeypatch.setattr("restain.metrics.statistics.bootstrap._CHUNK", 30 * 7)
    assert percentile_interval(mean_defined, [x], seed=8, resamples=1000) == pytest.approx(first)


def test_constant_data_have_an_interval_of_no_width():
    assert percentile_interval(mean_defined, [np.full(9, 0.25)], seed=0) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("statistic", "columns", "reason"),
    [
        (mean_defined, [np.arange(4.0)], "needs at least 5 images, there are 4"),
        (mean_defined, [np.array([1, 2, 3, 4, np.inf])], "infinite"),
        (pearson, [np.arange(6.0), np.array([0, 0, 0, 0, 0, 1.0])], "constant"),
    ],
)
def test_an_interval_that_would_mean_nothing_is_refused(statistic, columns, reason):
    with pytest.raises(NotComputed, match=reason):
        percentile_interval(statistic, columns, seed=0)


def test_groups_of_one_image_are_images():
    x = np.random.default_rng(10).normal(size=12)
    by_image = percentile_interval(mean_defined, [x], seed=1)
    assert percentile_interval(mean_defined, [x], seed=1, groups=np.arange(12)) == by_image


def test_whole_groups_are_drawn():
    """Fields of one slide alike: the interval is that of the slides, not of four times as many images."""
    generator = np.random.default_rng(11)
    of_slides = generator.normal(size=12)
    x, groups = np.repeat(of_slides, 4), np.repeat(np.arange(12), 4)
    clustered = percentile_interval(mean_defined, [x], seed=2, groups=groups)
    assert clustered == pytest.approx(percentile_interval(mean_defined, [of_slides], seed=2))
    low, high = percentile_interval(mean_defined, [x], seed=2)
    assert high - low < 0.6 * (clustered[1] - clustered[0])  # half as wide, and wrong


def test_groups_of_unequal_size_agree_with_a_plain_loop():
    generator = np.random.default_rng(12)
    groups = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4, 5])
    x, y = generator.normal(size=(2, 12))
    y = x + 0.5 * y
    found = percentile_interval(pearson, [x, y], seed=3, groups=groups, resamples=4000)
    drawn = np.random.default_rng(3).integers(6, size=(4000, 6))
    chosen = [np.concatenate([np.flatnonzero(groups == group) for group in row]) for row in drawn]
    values = [float(pearson(x[rows], y[rows])) for rows in chosen]
    assert found == pytest.approx(tuple(np.nanpercentile(values, [2.5, 97.5])))


def test_few_groups_have_no_interval():
    with pytest.raises(NotComputed, match="at least 5 groups of images, there are 2"):
        percentile_interval(mean_defined, [np.arange(20.0)], seed=0, groups=np.arange(20) % 2)
