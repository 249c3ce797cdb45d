"""What a metric is, and the figure that it gives for a set of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from restain.metrics.bootstrap import NotComputed, percentile_interval
from restain.metrics.correlation import mean_defined
from restain.stains import Floats

Family: TypeAlias = Literal["pixels", "stain", "content", "cells", "learned"]
MINIMUM_FOR_SET = 3  # two images always correlate perfectly


def itself(values: Floats) -> Floats:
    """The column as it is."""
    return values


@dataclass(frozen=True)
class Metric:
    """One figure of an evaluation: how it comes from the per-image columns, and how to read it.

    An *image* metric has a value for each image, ``combine`` maps columns (..., n) to (..., n), and its figure is
    their mean. A *set* metric, such as a correlation over images, exists for the set alone: (..., n) to (...). A set
    metric without columns, such as FID, is not made of values of single images; it comes from elsewhere, whole.
    """

    name: str
    unit: str
    direction: Literal["higher", "lower", "none"]  # which is better; "none" describes and does not judge
    definition: str
    source: str
    columns: tuple[str, ...] = ()
    combine: Callable[..., Floats] = itself
    level: Literal["image", "set"] = "image"
    family: Family = "stain"
    range: str = ""  # as text, "[0, 1]"
    weakness: str = ""  # what it does not see, or rewards wrongly


@dataclass(frozen=True)
class Estimate:
    """A figure over a set of images."""

    value: float  # mean over images, or the set's statistic; inf where PSNR is
    std: float | None  # over images, n - 1; None for a set metric or where it is undefined
    ci95: tuple[float, float] | None
    n: int  # images that have a value
    no_interval: str = ""  # the reason where ci95 is None


def estimate(metric: Metric, table: Mapping[str, Floats], seed: int) -> Estimate:
    """The figure of a metric with its standard deviation and 95 % bootstrap interval over images.

    Args:
        metric: what to compute.
        table: float arrays (n,) by column name; NaN where an image has no value.
        seed: of the bootstrap.

    Raises:
        NotComputed: the metric has no value for these images; the message says why.
    """
    columns = [np.asarray(table[name], dtype=np.float64) for name in metric.columns]
    if metric.level == "image":
        values = metric.combine(*columns)
        defined = values[~np.isnan(values)]
        if not len(defined):
            raise NotComputed("has no value in any image: one side of each pair is a single flat grey")
        spread = float(defined.std(ddof=1)) if len(defined) > 1 and np.isfinite(defined).all() else None
        return _with_interval(float(defined.mean()), spread, mean_defined, [defined], seed)
    n = len(columns[0])
    if n < MINIMUM_FOR_SET:
        raise NotComputed(f"a correlation over images needs at least {MINIMUM_FOR_SET} images, there are {n}")
    value = float(metric.combine(*columns))
    if np.isnan(value):
        raise NotComputed("has no value: a measure is the same in all images, so nothing can correlate with it")
    return _with_interval(value, None, metric.combine, columns, seed)


def _with_interval(
    value: float, std: float | None, statistic: Callable[..., Floats], columns: Sequence[Floats], seed: int
) -> Estimate:
    n = len(columns[0])
    try:
        return Estimate(value, std, percentile_interval(statistic, columns, seed), n)
    except NotComputed as reason:
        return Estimate(value, std, None, n, no_interval=str(reason))
