"""What a metric is, and the score that it gives for a set of images."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from restain.metrics.measures import Marker, Measure
from restain.metrics.statistics.bootstrap import Groups, NotComputed, bootstrap_interval
from restain.metrics.statistics.moments import MEAN, Statistic
from restain.stains import Floats

Family: TypeAlias = Literal["pixels", "stain", "place", "content", "cells", "learned"]
FAMILIES: tuple[Family, ...] = get_args(Family)  # in the order in which they are shown
MINIMUM_FOR_SET = 3  # two images always correlate perfectly


@dataclass(frozen=True)
class ClassTable:
    """Classes into which the values of two columns fall, virtual and real."""

    names: tuple[str, ...]  # of the classes 0, 1, ...
    of: Callable[[Floats], Floats]  # values (n,) -> the number of the class of each

    def count(self, fake: Floats, real: Floats) -> dict[str, Any]:
        """How many images fall into which classes, as plain values: a row for each real class."""
        pairs = [column.astype(np.int64) for column in (self.of(real), self.of(fake))]
        table = np.zeros((len(self.names), len(self.names)), dtype=np.int64)
        np.add.at(table, tuple(pairs), 1)
        return {"classes": list(self.names), "table": table.tolist()}  # table[real][virtual]


def itself(values: Floats) -> Floats:
    """The column as it is."""
    return values


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One score of an evaluation: how it comes from measures of images, and how to read it.

    An *image* metric has a value for each image: ``combine`` makes it of the columns (n,), and its score is the mean.
    A *set* metric, such as a correlation over images, exists for the set alone: ``statistic`` makes it of the columns.
    A set metric without columns, such as FID, is not made of values of single images; its ``SetMeasure`` gives the
    score itself.
    """

    name: str
    unit: str = ""
    direction: Literal["higher", "lower", "none"]  # which is better; "none" describes, neither is better
    definition: str
    source: str
    measures: tuple[Measure, ...]  # that fill the columns
    columns: tuple[str, ...] = ()
    combine: Callable[..., Floats] = itself
    statistic: Statistic | None = None  # of a set metric
    family: Family
    range: str  # as text, "[0, 1]"
    weakness: str  # what it does not see, or rewards wrongly
    undefined: str = "a measure has no value"  # why an image has none
    ballot: str = ""  # metrics of one measurement that share a vote in the ranks; empty: a vote of its own
    votes: bool = True  # where it has a direction and its family votes
    markers: tuple[Marker, ...] = ()  # for which it means something; empty: for all
    stains: tuple[str, ...] = ()  # for which it means something, such as "ki67"; empty: for all
    classes: ClassTable | None = None  # in which the two columns are compared; the counts stand beside the score
    step: float = 0.0  # of the score: systems closer to each other than that tie in the ranks
    relative_to: str = ""  # name of a score of which ``step`` is a share, such as the amount of an error
    complete: bool = True  # a set metric counts an image only where all its columns have a value

    @property
    def level(self) -> Literal["image", "set"]:
        """Whether an image by itself has a value."""
        return "set" if self.statistic or not self.columns else "image"

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of ``range`` where it gives numbers, else infinities."""
        match = re.match(r"[\[(](\S+?), (\S+?)[\])]", self.range)
        ends = (_as_bound(match[1]), _as_bound(match[2])) if match else (None, None)
        return (-math.inf if ends[0] is None else ends[0], math.inf if ends[1] is None else ends[1])


@dataclass(frozen=True)
class Estimate:
    """A score over a set of images."""

    value: float  # mean over images, or the set's statistic; inf where PSNR is
    std: float | None  # over images, n - 1; None for a set metric or where it is undefined
    ci95: tuple[float, float] | None
    n: int  # images that have a value
    no_interval: str = ""  # the reason where ci95 is None
    note: str = ""  # what a reader must know of this very score
    details: Mapping[str, Any] = field(default_factory=dict)  # further numbers that belong to it


def estimate(metric: Metric, table: Mapping[str, Floats], seed: int, groups: Groups | None = None) -> Estimate:
    """The score of a metric with its standard deviation and 95 % bootstrap interval over images.

    Args:
        metric: what to compute.
        table: float arrays (n,) by column name; NaN where an image has no value.
        seed: of the bootstrap.
        groups: the group of each image, drawn as a whole; see ``percentile_interval``.

    Raises:
        NotComputed: the metric has no value for these images; the message says why.
    """
    columns = values_of(metric, table)
    statistic = metric.statistic or MEAN
    kept = defined(metric, columns)
    columns = [column[kept] for column in columns]
    groups = None if groups is None else groups[kept]
    n = len(columns[0])
    if metric.level == "image":
        if not n:
            raise NotComputed(f"has no value in any image: {metric.undefined}")
        value = float(columns[0].mean())
        spread = float(columns[0].std(ddof=1)) if n > 1 and np.isfinite(columns[0]).all() else None
        return _with_interval(metric, value, spread, columns, seed, groups)
    if n < MINIMUM_FOR_SET:
        raise NotComputed(f"a correlation over images needs at least {MINIMUM_FOR_SET} images, there are {n}")
    value = float(statistic(*columns))
    if np.isnan(value):
        raise NotComputed("has no value: a measure is the same in all images, so nothing can correlate with it")
    found = _with_interval(metric, value, None, columns, seed, groups)
    return found if metric.classes is None else replace(found, details=metric.classes.count(*columns))


def values_of(metric: Metric, table: Mapping[str, Floats]) -> list[Floats]:
    """The arrays (n,) that the score is made of: one with the value of each image, or a set metric's columns."""
    columns: list[Floats] = [np.asarray(table[name], dtype=np.float64) for name in metric.columns]
    return [metric.combine(*columns)] if metric.level == "image" else columns


def defined(metric: Metric, columns: Sequence[Floats]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which images (n,) count for a score that is made of these arrays."""
    if metric.level == "set" and not metric.complete:
        return np.ones(len(columns[0]), dtype=np.bool_)
    return np.asarray(~np.isnan(columns).any(axis=0))


def _with_interval(
    metric: Metric,
    value: float,
    std: float | None,
    columns: Sequence[Floats],
    seed: int,
    groups: Groups | None,
) -> Estimate:
    n = len(columns[0])
    try:
        ends = bootstrap_interval(metric.statistic or MEAN, columns, seed=seed, groups=groups)
    except NotComputed as reason:
        return Estimate(value, std, None, n, no_interval=str(reason))
    low, high = (float(np.clip(end, *metric.bounds)) for end in ends)  # a studentised end can lie outside the possible
    return Estimate(value, std, (low, high), n)


def _as_bound(text: str) -> float | None:
    try:
        return float(text.replace("∞", "inf"))
    except ValueError:
        return None
