"""Scores over seeds against a computation by hand, where images lack a value."""

import numpy as np
import pytest

from restain.benchmarking.seed_scores import INTERVAL_SEED, Measured, Training
from restain.evaluation.results import System, scores_of
from restain.metrics import Metric, estimate, select_metrics
from restain.reporting.tables import Table
from restain.stains import Floats


def metric_of(name: str) -> Metric:
    return next(metric for metric in select_metrics([name]) if metric.name == name)


def training(metric: Metric, **columns: Floats) -> Training:
    found = estimate(metric, columns, INTERVAL_SEED)
    scores = scores_of(System("mine", columns, {metric.name: found}, {}), [metric], "clean")
    text = {name: tuple("" if np.isnan(value) else repr(float(value)) for value in columns[name]) for name in columns}
    return Training(scores, Table(text))


def test_an_image_without_a_value_in_one_training_counts_in_none() -> None:
    metric, values = metric_of("ssim"), np.random.default_rng(0).random((2, 12))
    values[1, 3] = np.nan
    score = Measured("mine", tuple(training(metric, ssim=row) for row in values)).score(metric, None)
    kept = np.delete(values, 3, axis=1)
    assert score is not None and score.interval is not None
    assert score.mean == pytest.approx(kept.mean())
    assert score.spread == pytest.approx(kept.mean(axis=1).std(ddof=1))
    assert score.interval[0] < score.mean < score.interval[1]


def test_the_interval_of_an_average_of_scores_is_over_the_images_of_the_score() -> None:
    metric, draw = metric_of("r_avg"), np.random.default_rng(1).random
    columns = {name: draw(12) for name in metric.columns}
    columns["r_content"][:4] = np.nan
    score = Measured("mine", (training(metric, **columns),)).score(metric, None)
    whole = estimate(metric, columns, INTERVAL_SEED)
    assert score is not None and (score.mean, score.interval) == (whole.value, whole.ci95)


def test_too_few_groups_have_no_interval_even_with_one_training() -> None:
    metric, values = metric_of("ssim"), np.random.default_rng(2).random(12)
    one = Measured("mine", (training(metric, ssim=values),))
    score = one.score(metric, np.arange(12) // 2)
    assert score is not None and score.interval is None


def test_a_correlation_of_the_two_images_that_all_trainings_have_is_no_score() -> None:
    metric, draw = metric_of("dab_pearson_r"), np.random.default_rng(3).random
    trainings = []
    for lacking in (slice(0, 5), slice(7, 12)):
        columns = {name: draw(12) for name in metric.columns}
        columns[metric.columns[0]][lacking] = np.nan
        trainings.append(training(metric, **columns))
    assert Measured("mine", (trainings[0],)).score(metric, None) is not None
    assert Measured("mine", tuple(trainings)).score(metric, None) is None
