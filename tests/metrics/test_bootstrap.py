import numpy as np
import pytest
from scipy import stats

from restain.metrics.statistics.agreement import ICC, KAPPA, LOWER_LIMIT
from restain.metrics.statistics.averages import PEARSON, pearson
from restain.metrics.statistics.bootstrap import NotComputed, bootstrap_interval
from restain.metrics.statistics.moments import MEAN, difference_of


def test_interval_agrees_with_scipy():
    x = np.random.default_rng(0).gamma(2.0, size=40)
    low, high = bootstrap_interval(MEAN, [x], seed=1)
    other = stats.bootstrap((x,), np.mean, method="percentile", n_resamples=10_000, rng=np.random.default_rng(2))
    assert low == pytest.approx(other.confidence_interval.low, abs=0.03)
    assert high == pytest.approx(other.confidence_interval.high, abs=0.03)


def test_interval_of_a_correlation_resamples_pairs_together():
    generator = np.random.default_rng(3)
    x = generator.normal(size=60)
    y = x + 0.5 * generator.normal(size=60)
    low, high = bootstrap_interval(PEARSON, [x, y], seed=4)
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
        low, high = bootstrap_interval(MEAN, [generator.normal(10, 2, 40)], seed=trial, resamples=600)
        inside += low <= 10 <= high
    assert 0.90 <= inside / trials <= 0.98


def test_seed_decides_and_chunks_do_not_show(monkeypatch):
    x = np.random.default_rng(7).normal(size=30)
    first = bootstrap_interval(MEAN, [x], seed=8, resamples=1000)
    assert bootstrap_interval(MEAN, [x], seed=8, resamples=1000) == first
    assert bootstrap_interval(MEAN, [x], seed=9, resamples=1000) != first
    monkeypatch.setattr("restain.metrics.statistics.bootstrap._BLOCK", 30 * 7)
    assert bootstrap_interval(MEAN, [x], seed=8, resamples=1000) == pytest.approx(first)


def test_constant_data_have_an_interval_of_no_width():
    assert bootstrap_interval(MEAN, [np.full(9, 0.25)], seed=0) == (0.25, 0.25)


@pytest.mark.parametrize(
    ("statistic", "columns", "reason"),
    [
        (MEAN, [np.arange(7.0)], "needs at least 8 images, there are 7"),
        (MEAN, [np.array([1, 2, 3, 4, 5, 6, 7, np.inf])], "infinite"),
        (PEARSON, [np.arange(9.0), np.array([0.0] * 8 + [1])], "constant"),
    ],
)
def test_an_interval_that_would_mean_nothing_is_refused(statistic, columns, reason):
    with pytest.raises(NotComputed, match=reason):
        bootstrap_interval(statistic, columns, seed=0)


def test_groups_of_one_image_are_images():
    x = np.random.default_rng(10).normal(size=12)
    by_image = bootstrap_interval(MEAN, [x], seed=1)
    assert bootstrap_interval(MEAN, [x], seed=1, groups=np.arange(12)) == by_image


def test_whole_groups_are_drawn():
    """Fields of one slide alike: the interval is that of the slides, not of four times as many images."""
    generator = np.random.default_rng(11)
    of_slides = generator.normal(size=12)
    x, groups = np.repeat(of_slides, 4), np.repeat(np.arange(12), 4)
    clustered = bootstrap_interval(MEAN, [x], seed=2, groups=groups)
    assert clustered == pytest.approx(bootstrap_interval(MEAN, [of_slides], seed=2))
    low, high = bootstrap_interval(MEAN, [x], seed=2)
    assert high - low < 0.6 * (clustered[1] - clustered[0])  # half as wide, and wrong


def test_groups_of_unequal_size_agree_with_a_plain_loop():
    generator = np.random.default_rng(12)
    groups = np.array([0, 0, 0, 1, 2, 2, 3, 4, 4, 4, 4, 5, 6, 6, 7])
    x, y = generator.normal(size=(2, 15))
    y = x + 0.5 * y
    found = bootstrap_interval(PEARSON, [x, y], seed=3, groups=groups, resamples=4000, method="percentile")
    drawn = np.random.default_rng(3).integers(8, size=(4000, 8))
    chosen = [np.concatenate([np.flatnonzero(groups == group) for group in row]) for row in drawn]
    values = [float(pearson(x[rows], y[rows])) for rows in chosen]
    assert found == pytest.approx(tuple(np.nanpercentile(values, [2.5, 97.5])))


def test_few_groups_have_no_interval():
    with pytest.raises(NotComputed, match="at least 8 groups of images, there are 2"):
        bootstrap_interval(MEAN, [np.arange(20.0)], seed=0, groups=np.arange(20) % 2)


@pytest.mark.parametrize("units", [8, 14])
@pytest.mark.parametrize(
    ("statistic", "draw", "truth"),
    [
        (MEAN, lambda generator, n: [generator.exponential(size=n)], 1.0),
        (PEARSON, lambda generator, n: generator.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], n).T, 0.8),
        (ICC, lambda generator, n: generator.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], n).T, 0.8),
    ],
    ids=["mean of a skewed value", "correlation", "agreement"],
)
def test_small_sets_cover_what_they_promise_and_the_percentiles_do_not(units, statistic, draw, truth):
    generator = np.random.default_rng(units)
    trials, inside = 250, {"auto": 0, "percentile": 0}
    for _ in range(trials):
        columns = list(draw(generator, units))
        for method in inside:
            low, high = bootstrap_interval(statistic, columns, seed=0, resamples=600, method=method)
            inside[method] += low <= truth <= high
    assert inside["auto"] / trials >= 0.91  # 0.95 less three standard errors of 250 trials
    assert inside["auto"] >= inside["percentile"]


def test_a_mean_is_studentised_as_by_hand():
    x, resamples = np.random.default_rng(5).gamma(2.0, size=10), 3000
    drawn = x[np.random.default_rng(4).integers(10, size=(resamples, 10))]
    error = drawn.std(axis=1, ddof=1) / np.sqrt(10)
    low, high = np.percentile((drawn.mean(axis=1) - x.mean()) / error, [2.5, 97.5])
    spread = x.std(ddof=1) / np.sqrt(10)
    expected = (x.mean() - high * spread, x.mean() - low * spread)
    assert bootstrap_interval(MEAN, [x], seed=4, resamples=resamples) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("statistic", [PEARSON, ICC, KAPPA, LOWER_LIMIT, difference_of(PEARSON, 2)])
def test_the_matrix_of_counts_gives_the_statistic_of_every_resample(statistic):
    """Percentiles by a plain loop over resamples equal those by means over the matrix."""
    generator = np.random.default_rng(6)
    columns = list(generator.integers(0, 4, (4, 40)).astype(float))[
        : 4 if statistic.features.__name__ == "features" else 2
    ]
    drawn = np.random.default_rng(3).integers(40, size=(400, 40))
    values = [float(statistic(*(column[rows] for column in columns))) for rows in drawn]
    found = bootstrap_interval(statistic, columns, seed=3, resamples=400)
    assert found == pytest.approx(tuple(np.percentile(values, [2.5, 97.5])), abs=1e-9)
