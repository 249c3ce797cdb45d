"""Scores of systems over their trainings: mean, spread over seeds, interval over images, tests and ranks. No torch.

Each training was evaluated by itself. Of a score that images have, the value of an image is its mean over seeds;
intervals and tests are over images. Of a statistic of the set, such as a correlation, the mean over seeds is resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from restain.benchmarking.plan import Contender, Job, Plan
from restain.errors import RestainError
from restain.evaluation.grouping import group_images
from restain.evaluation.inputs import UNCHANGED
from restain.evaluation.schema import PER_IMAGE, PER_IMAGE_BASELINES, SUMMARY, Scores, Summary, read_summary
from restain.metrics import Metric, NotComputed, select_metrics
from restain.metrics.metric import values_of
from restain.metrics.statistics.bootstrap import Groups, bootstrap_interval
from restain.metrics.statistics.moments import MEAN, mean_of
from restain.metrics.statistics.ranking import Ranking, rank_systems
from restain.metrics.statistics.significance import Comparison, compare_means, compare_sets, correct_family
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
    spread: float | None  # standard deviation over seeds, n - 1; None for one seed
    interval: tuple[float, float] | None  # 95 %, over images
    trainings: int


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

    def score(self, metric: Metric, groups: Groups | None) -> SeedScore | None:
        """None where a training has no such score."""
        found = [training.scores.get(metric.name) for training in self.trainings]
        values = [score.mean for score in found if score is not None]
        if not found or len(values) < len(found):
            return None
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        interval = self._interval(metric, groups)
        if interval is None and len(found) == 1 and found[0] is not None:
            interval = found[0].ci95
        return SeedScore(mean=float(np.mean(values)), spread=spread, interval=interval, trainings=len(values))

    def _interval(self, metric: Metric, groups: Groups | None) -> tuple[float, float] | None:
        columns = self.columns(metric)
        if not columns:
            return None
        if metric.statistic is None:
            statistic, joined = MEAN, [np.mean([values for (values,) in columns], axis=0)]
        else:
            statistic, joined = mean_of(metric.statistic, len(columns)), [one for part in columns for one in part]
        kept = ~np.isnan(joined).any(axis=0)
        try:
            low, high = bootstrap_interval(
                statistic,
                [column[kept] for column in joined],
                seed=INTERVAL_SEED,
                groups=None if groups is None else groups[kept],
            )
        except NotComputed:
            return None
        return float(np.clip(low, *metric.bounds)), float(np.clip(high, *metric.bounds))


@dataclass(frozen=True)
class Comparisons:
    """Everything that the trainings of a comparison have given so far."""

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
    def tests(self) -> Mapping[tuple[str, str], Comparison]:
        """Each other system and baseline minus the first system, by metric and name; Holm over the systems, and over
        the baselines, of one metric.
        """
        if not self.systems:
            return {}
        first, found = self.systems[0], dict[tuple[str, str], Comparison]()
        for metric in self.metrics:
            if metric.direction == "none":
                continue
            for family in (self.systems[1:], self.baselines):
                pairs = [(one.name, c) for one in family if (c := self._compare(metric, one, first)) is not None]
                corrected = correct_family([comparison for _, comparison in pairs])
                found |= {(metric.name, name): one for (name, _), one in zip(pairs, corrected, strict=True)}
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
        columns, others = one.columns(metric), other.columns(metric)
        if not columns or not others:
            return None
        try:
            if metric.statistic is None:
                means = [np.mean([values for (values,) in part], axis=0) for part in (columns, others)]
                return compare_means(means[0], means[1], INTERVAL_SEED, self.groups)
            trainings = max(len(columns), len(others))
            if {len(columns), len(others)} - {1, trainings}:
                return None  # some seeds are not done yet
            return compare_sets(
                mean_of(metric.statistic, trainings),
                _repeated(columns, trainings),
                _repeated(others, trainings),
                INTERVAL_SEED,
                self.groups,
            )
        except NotComputed:
            return None


def _repeated(columns: Sequence[Sequence[Floats]], trainings: int) -> list[Floats]:
    """The columns of so many trainings; those of a baseline, which is trained once, again and again."""
    return [column for n in range(trainings) for column in columns[n % len(columns)]]


def gather(plan: Plan) -> Comparisons | None:
    """Read what the evaluations of finished jobs found; None where none has finished.

    Raises:
        RestainError: a file of an evaluation is damaged, or evaluations have different images.
    """
    by_contender: dict[Contender, list[Job]] = {contender: [] for contender in plan.contenders}
    for job in plan.jobs():
        record = job.record()
        if record is not None and record.status == "done":
            by_contender[job.contender].append(job)
    done = [job for jobs in by_contender.values() for job in jobs]
    if not done:
        return None
    tables = {job: read_table(job.evaluation / PER_IMAGE) for job in done}
    summaries = {job: read_summary(job.evaluation / SUMMARY) for job in done}
    first = done[0]
    ids = tables[first].columns["id"]
    for job, table in tables.items():
        if table.columns["id"] != ids:
            raise RestainError(f"{job.evaluation}: has other images than {first.evaluation}; expected the same")
    systems = tuple(
        Measured(
            contender.name,
            tuple(Training(summaries[job].systems[contender.name], tables[job]) for job in jobs),
        )
        for contender, jobs in by_contender.items()
        if jobs
    )
    own = read_table(first.evaluation / PER_IMAGE_BASELINES)
    baselines = tuple(
        Measured(name, (Training(scores, own.where("system", name)),))
        for name, scores in summaries[first].baselines.items()
    )
    grouping = group_images(ids, plan.groups)
    return Comparisons(systems, baselines, select_metrics(plan.metrics), summaries[first], ids, grouping.numbers)
