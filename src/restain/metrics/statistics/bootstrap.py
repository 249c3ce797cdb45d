"""95 % intervals by resampling images, or whole slides: what the score would be had others been photographed.

All intervals of one number of units and one seed share one matrix of how often each unit is drawn, and a statistic is
a function of means (``moments``), so an interval costs one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.metrics.statistics.moments import Statistic
from restain.stains import Floats

Groups: TypeAlias = npt.NDArray[np.int64]  # (n,), the number of the slide (or other group) of each image
Method: TypeAlias = Literal["auto", "percentile", "studentised"]

RESAMPLES = 10_000
MINIMUM_UNITS = 8  # images or groups: below it no interval covers what it promises
PERCENTILE_FROM = 30  # units: below it the percentile interval is too narrow (80 to 92 % instead of 95 %)
_DEGENERATE_SHARE = 0.05  # of resamples without a value (such as r of one image drawn n times)
_BLOCK = 4_000_000  # numbers of the matrix that are floats at a time
_STEP = 1e-4  # of the derivative by central differences; features are standardised or shifted
_LARGEST_R = 1 - 1e-12  # Fisher's z of 1 is infinite


class NotComputed(Exception):
    """A score, an interval or a test has no value for these data; the message is the reason."""


def bootstrap_interval(
    statistic: Statistic,
    columns: Sequence[Floats],
    *,
    seed: int,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    method: Method = "auto",
) -> tuple[float, float]:
    """95 % bootstrap interval of a statistic over images.

    Columns are resampled jointly: an image keeps its real and its virtual value together. One seed draws the same
    images for every statistic and system of equal n, so that intervals of systems are paired.

    Below 30 units the interval is studentised (bootstrap-t): quantiles of (resample - value) / standard error, the
    standard error by the delta method over units, correlations on Fisher's z, agreements on a logarithm. From 30 on it
    is the percentile interval. docs/evaluation.md shows by simulation what both cover.

    Args:
        statistic: a function of means; NaN where it has no value.
        columns: k float arrays of shape (n,), one entry per image.
        seed: of the resampling.
        groups: the group of each image, such as its slide. Whole groups are then drawn with replacement (cluster
            bootstrap), since fields of one slide are not independent. ``None``: every image by itself.
        resamples: how many sets are drawn.
        method: "percentile" or "studentised" whatever the number of units.

    Returns:
        Low and high end.

    Raises:
        NotComputed: fewer than 8 images or groups, an infinite value, or a statistic without a value in many resamples.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 12 and 13; for groups, Davison and
    Hinkley, Bootstrap Methods and their Application (1997), section 3.8, strategy 1.
    """
    n = len(columns[0])
    labels = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(labels.max(initial=-1)) + 1
    if units < MINIMUM_UNITS:
        kind = "images" if groups is None else "groups of images"
        raise NotComputed(f"an interval needs at least {MINIMUM_UNITS} {kind}, there are {units}")
    if any(np.isinf(column).any() for column in columns):
        raise NotComputed("an image has an infinite value")
    features = statistic.features(*columns)
    sums: Floats = np.stack([np.bincount(labels, weights=row, minlength=units) for row in features])  # (p, units)
    sizes = np.bincount(labels, minlength=units).astype(np.float64)
    studentised = method == "studentised" or (method == "auto" and units < PERCENTILE_FROM)
    draw = _studentised if studentised else _percentile
    low, high = draw(statistic, sums, sizes, _counts(units, seed, resamples))
    return float(low), float(high)


@lru_cache(maxsize=2)
def _counts(units: int, seed: int, resamples: int) -> npt.NDArray[np.unsignedinteger]:
    """How often each unit is drawn in each resample, (resamples, units)."""
    drawn = np.random.default_rng(seed).integers(units, size=(resamples, units))
    counts = np.zeros((resamples, units), dtype=np.uint16)
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1)
    counts.setflags(write=False)
    return counts


def _resampled_means(sums: Floats, sizes: Floats, counts: npt.NDArray[np.unsignedinteger]) -> tuple[Floats, Floats]:
    """Means (p, resamples) of the features and number of images (resamples,) of every resample."""
    rows = max(1, _BLOCK // len(sizes))
    parts = [counts[start : start + rows].astype(np.float64) for start in range(0, len(counts), rows)]
    n = np.concatenate([part @ sizes for part in parts])
    return np.concatenate([sums @ part.T for part in parts], axis=1) / n, n


def _percentile(
    statistic: Statistic, sums: Floats, sizes: Floats, counts: npt.NDArray[np.unsignedinteger]
) -> tuple[float, float]:
    values = statistic.value(*_resampled_means(sums, sizes, counts))
    defined = values[~np.isnan(values)]
    _refuse_degenerate(len(defined), len(counts))
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def _studentised(
    statistic: Statistic, sums: Floats, sizes: Floats, counts: npt.NDArray[np.unsignedinteger]
) -> tuple[float, float]:
    def value(means: Floats, n: Floats) -> Floats:
        return _to_scale(statistic, statistic.value(means, n))

    def error(means: Floats, n: Floats, drawn: Floats) -> Floats:
        """Standard error (k,) by the delta method: how much each drawn unit pulls at the value."""
        slopes = []
        for index in range(len(means)):
            step = np.zeros((len(means), 1))
            step[index] = _STEP
            slopes.append((value(means + step, n) - value(means - step, n)) / (2 * _STEP))
        slope = np.stack(slopes)  # (p, k)
        pulls = slope.T @ sums - np.outer((slope * means).sum(axis=0), sizes)  # (k, units)
        units = len(sizes)
        return np.asarray(np.sqrt((drawn * pulls**2).sum(axis=1) * units / (units - 1)) / n)

    n = np.array([sizes.sum()])
    whole = sums.sum(axis=1, keepdims=True) / n
    centre, spread = float(value(whole, n)[0]), float(error(whole, n, np.ones((1, len(sizes))))[0])
    plain = float(statistic.value(whole, n)[0])
    agree = statistic.scale != "identity" and abs(plain) >= 1 - 1e-9
    if agree or not spread > 1e-12 * max(abs(centre), 1e-300):
        return plain, plain  # all units give the same
    means, counted = _resampled_means(sums, sizes, counts)
    values, errors = value(means, counted), error(means, counted, counts.astype(np.float64))
    usable = np.isfinite(values) & (errors > 1e-6 * spread)
    _refuse_degenerate(int(usable.sum()), len(counts))
    low, high = np.percentile((values[usable] - centre) / errors[usable], [2.5, 97.5])
    low, high = _from_scale(statistic, np.array([centre - high * spread, centre - low * spread]))
    return float(low), float(high)


def _to_scale(statistic: Statistic, values: Floats) -> Floats:
    if statistic.scale == "fisher":
        return np.asarray(np.arctanh(np.clip(values, -_LARGEST_R, _LARGEST_R)))
    return np.asarray(-np.log1p(-np.minimum(values, _LARGEST_R))) if statistic.scale == "log" else values


def _from_scale(statistic: Statistic, values: Floats) -> Floats:
    if statistic.scale == "fisher":
        return np.asarray(np.tanh(values))
    return np.asarray(-np.expm1(-values)) if statistic.scale == "log" else values


def _refuse_degenerate(defined: int, resamples: int) -> None:
    if defined < (1 - _DEGENERATE_SHARE) * resamples:
        raise NotComputed("too many resamples are constant")
