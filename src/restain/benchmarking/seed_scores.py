"""Scores of systems over their trainings: mean, spread over seeds, interval over images, tests and ranks. No torch.

Each training was evaluated by itself. Of a score that images have, the value of an image is its mean over seeds;
intervals and tests are over images. Of a statistic of the set, such as a correlation, the mean over seeds is resampled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from restain.benchmarking.plan import Job, Plan
from restain.errors import RestainError
from restain.evaluation.grouping import group_images
from restain.evaluation.inputs import UNCHANGED
from restain.evaluation.schema import PER_IMAGE, PER_IMAGE_BASELINES, SUMMARY, Scores, Summary, read_summary
from restain.metrics import Metric, NotComputed, select_metrics
from restain.metrics.metric import MINIMUM_FOR_SET, defined, values_of
from restain.metrics.statistics.bootstrap import Groups, bootstrap_interval
from restain.metrics.statistics.moments import MEAN, mean_of
from restain.metrics.statistics.ranking import Ranking, rank_systems
from restain.metrics.statistics.significance import Comparison, compare_means, correct_family
from restain.reporting.tables import Table, read_table
from restain.stains import Floats

INTERVAL_SEED = 0


@dataclass(frozen=True)
class Training:
    """What the evaluation of one training found."""

    scores: Scores
    table: Table  # a row an image


@dataclass(frozen=True, kw_only=True)
class SeedScore:
    """One metric of one system over its trainings."""

    mean: float  # over seeds
    spread: float | None  # standard deviation over seeds, n - 1; None for one seed, or infinite means
    interval: tuple[float, float] | None  # 95 %, over images


@dataclass(frozen=True)
class Measured:
    """One system with the trainings that are done."""

    name: str
    trainings: tuple[Training, ...]

    def columns(self, metric: Metric) -> list[list[Floats]]:
        """The arrays (n,) that a score is made of, by training; none where it is made of something else."""
        if not metric.columns:
            return []
        return [
            values_of(metric, {name: training.table.numbers(name) for name in metric.columns})
            for training in self.trainings
        ]

    def has(self, metric: Metric) -> bool:
        """Whether every training has such a score."""
        return all(metric.name in training.scores for training in self.trainings)

    def score(self, metric: Metric, groups: Groups | None) -> SeedScore | None:
        """Over the images that have a value in every training; None where a training has no such score."""
        if not self.has(metric):
            return None
        columns = self.columns(metric)
        if not columns:
            return _over_seeds([training.scores[metric.name].mean for training in self.trainings], None)
        kept = np.all([defined(metric, part) for part in columns], axis=0)
        if kept.sum() < (MINIMUM_FOR_SET if metric.statistic else 1):
            return None
        parts = [[column[kept] for column in part] for part in columns]
        statistic = metric.statistic or MEAN
        values = [float(statistic(*part)) for part in parts]
        if np.isnan(values).any():  # a correlation where a measure is the same in all images
            return None
        return _over_seeds(values, _interval(metric, parts, None if groups is None else groups[kept]))


def _over_seeds(values: Sequence[float], interval: tuple[float, float] | None) -> SeedScore:
    spread = float(np.std(values, ddof=1)) if len(values) > 1 and np.isfinite(values).all() else None
    return SeedScore(mean=float(np.mean(values)), spread=spread, interval=interval)


def _interval(metric: Metric, parts: Sequence[Sequence[Floats]], groups: Groups | None) -> tuple[float, float] | None:
    if metric.statistic is None:
        statistic, joined = MEAN, [np.mean([values for (values,) in parts], axis=0)]
    else:
        statistic, joined = mean_of(metric.statistic, len(parts)), [one for part in parts for one in part]
    try:
        low, high = bootstrap_interval(statistic, joined, seed=INTERVAL_SEED, groups=groups)
    except NotComputed:
        return None
    return float(np.clip(low, *metric.bounds)), float(np.clip(high, *metric.bounds))


@dataclass(frozen=True)
class Comparisons:
    """Everything that the trainings of a comparison have given so far."""

    jobs: tuple[Job, ...]  # that are done, at least one
    systems: tuple[Measured, ...]  # with at least one training
    baselines: tuple[Measured, ...]
    metrics: tuple[Metric, ...]
    summary: Summary  # of the first training: what holds for all
    ids: tuple[str, ...]
    groups: Groups | None

    @property
    def all(self) -> tuple[Measured, ...]:
        """Systems, then baselines."""
        return (*self.systems, *self.baselines)

    @cached_property
    def scores(self) -> Mapping[str, Mapping[str, SeedScore]]:
        """By system, then by metric."""
        return {
            one.name: {m.name: score for m in self.metrics if (score := one.score(m, self.groups)) is not None}
            for one in self.all
        }

    @cached_property
    def p_values(self) -> Mapping[tuple[str, str], float]:
        """Of each other system and baseline against the first system, by metric and name; with Holm's correction over
        the systems, and over the baselines, of one metric.

        There is none for a statistic of the set, such as a correlation: no image has a value of its own to be permuted.
        """
        first, found = self.systems[0], dict[tuple[str, str], float]()
        for metric in self.metrics:
            if metric.direction == "none" or metric.level == "set":
                continue
            for family in (self.systems[1:], self.baselines):
                pairs = [(one.name, c) for one in family if (c := self._compare(metric, one, first)) is not None]
                corrected = correct_family([comparison for _, comparison in pairs])
                for (name, _), comparison in zip(pairs, corrected, strict=True):
                    if comparison.p_holm is not None:
                        found[metric.name, name] = comparison.p_holm
        return found

    @cached_property
    def ranking(self) -> Ranking | None:
        """The order of systems and baselines by their means over seeds; None where no metric votes."""
        values = {
            name: {metric: score.mean for metric, score in scores.items()} for name, scores in self.scores.items()
        }
        try:
            nothing = UNCHANGED if UNCHANGED in values else None
            return rank_systems(self.metrics, values, self.summary.marker, self.summary.stain, nothing)
        except NotComputed:
            return None

    def _compare(self, metric: Metric, one: Measured, other: Measured) -> Comparison | None:
        if not (one.has(metric) and other.has(metric)):
            return None
        means = [np.mean([values for (values,) in each.columns(metric)], axis=0) for each in (one, other)]
        try:
            return compare_means(means[0], means[1], INTERVAL_SEED, self.groups, interval=False)
        except NotComputed:
            return None


def gather(plan: Plan, done: Collection[Job]) -> Comparisons | None:
    """Read what the evaluations of the trainings that are done found; None where none is.

    Raises:
        RestainError: a file of an evaluation is damaged, or evaluations have different images.
    """
    jobs = tuple(job for job in plan.jobs() if job in done)
    if not jobs:
        return None
    tables = {job: read_table(job.evaluation / PER_IMAGE) for job in jobs}
    summaries = {job: read_summary(job.evaluation / SUMMARY) for job in jobs}
    first = jobs[0]
    ids = tables[first].columns["id"]
    for job, table in tables.items():
        if table.columns["id"] != ids:
            raise RestainError(f"{job.evaluation}: has other images than {first.evaluation}; expected the same")
    trainings: dict[str, list[Training]] = {contender.name: [] for contender in plan.contenders}
    for job in jobs:
        trainings[job.contender.name].append(Training(summaries[job].systems[job.contender.name], tables[job]))
    systems = tuple(Measured(name, tuple(found)) for name, found in trainings.items() if found)
    own = read_table(first.evaluation / PER_IMAGE_BASELINES)
    baselines = tuple(
        Measured(name, (Training(scores, own.where("system", name)),))
        for name, scores in summaries[first].baselines.items()
    )
    grouping = group_images(ids, plan.groups)
    return Comparisons(jobs, systems, baselines, select_metrics(plan.metrics), summaries[first], ids, grouping.numbers)
