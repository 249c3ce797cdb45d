"""95 % intervals by resampling images, or whole slides: what the score would be had others been photographed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from restain.stains import Floats

Groups: TypeAlias = npt.NDArray[np.int64]  # (n,), the number of the slide (or other group) of each image
Indices: TypeAlias = npt.NDArray[np.int64]

RESAMPLES = 10_000
MINIMUM_IMAGES = 5  # below it, resamples repeat so few images that the percentiles mean nothing
_DEGENERATE_SHARE = 0.05  # of resamples without a value (such as r of one image drawn n times)
_CHUNK = 1_000_000  # numbers drawn at a time, so that memory does not grow with the number of images


class NotComputed(Exception):
    """A score, an interval or a test has no value for these data; the message is the reason."""


def percentile_interval(
    statistic: Callable[..., Floats],
    columns: Sequence[Floats],
    seed: int,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a statistic over images.

    Columns are resampled jointly: an image keeps its real and its virtual value together. One seed draws the same
    images for every statistic and system of equal n, so that intervals of systems are paired.

    Args:
        statistic: maps columns of shape (..., n) to (...); NaN where it has no value.
        columns: k float arrays of shape (n,), one entry per image.
        seed: of the resampling.
        groups: the group of each image, such as its slide. Whole groups are then drawn with replacement (cluster
            bootstrap), since fields of one slide are not independent. ``None``: every image by itself.
        resamples: how many sets are drawn.

    Returns:
        The 2.5th and the 97.5th percentile of the statistic.

    Raises:
        NotComputed: fewer than 5 images or groups, an infinite value, or a statistic without a value in many resamples.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; for groups, Davison and Hinkley,
    Bootstrap Methods and their Application (1997), section 3.8, strategy 1.
    """
    n = len(columns[0])
    units = n if groups is None else len(np.unique(groups))
    if units < MINIMUM_IMAGES:
        kind = "images" if groups is None else "groups of images"
        raise NotComputed(f"an interval needs at least {MINIMUM_IMAGES} {kind}, there are {units}")
    if any(np.isinf(column).any() for column in columns):
        raise NotComputed("an image has an infinite value")
    values = np.concatenate(
        [statistic(*(column[chosen] for column in columns)) for chosen in _resample(n, groups, seed, resamples)]
    )
    defined = values[~np.isnan(values)]
    if len(defined) < (1 - _DEGENERATE_SHARE) * resamples:
        raise NotComputed("too many resamples are constant")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def _resample(n: int, groups: Groups | None, seed: int, resamples: int) -> Iterator[Indices]:
    """Chosen images, (k, m) at a time: k resamples of m images each."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    by_group = np.argsort(labels, kind="stable")
    sizes = np.bincount(labels)
    rows = max(1, _CHUNK // n)
    for start in range(0, resamples, rows):
        drawn = generator.integers(len(sizes), size=(min(rows, resamples - start), len(sizes)))
        yield from _images_of(drawn, by_group, sizes)


def _images_of(drawn: Indices, by_group: Indices, sizes: Indices) -> Iterator[Indices]:
    """Images of the drawn groups (k, g); resamples of one size together, since groups differ in size."""
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    totals = sizes[drawn].sum(axis=1)
    for total in np.unique(totals):
        chosen = drawn[totals == total].ravel()
        counts = sizes[chosen]
        ends = np.cumsum(counts)
        within = np.arange(ends[-1]) - np.repeat(ends - counts, counts)  # 0, 1, ... inside each drawn group
        yield by_group[np.repeat(starts[chosen], counts) + within].reshape(-1, total)
