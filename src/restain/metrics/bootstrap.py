"""95 % intervals by resampling images: what the figure would be had other fields of view been photographed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from restain.stains import Floats

RESAMPLES = 10_000
MINIMUM_IMAGES = 5  # below it, resamples repeat so few images that the percentiles mean nothing
_DEGENERATE_SHARE = 0.05  # of resamples without a value (such as r of one image drawn n times)
_CHUNK = 1_000_000  # numbers drawn at a time, so that memory does not grow with the number of images


class NotComputed(Exception):
    """A figure or an interval has no value for these data; the message is the reason."""


def percentile_interval(
    statistic: Callable[..., Floats], columns: Sequence[Floats], seed: int, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a statistic over images.

    Columns are resampled jointly: an image keeps its real and its virtual value together. One seed draws the same
    images for every statistic and system of equal n, so that intervals of systems are paired.

    Args:
        statistic: maps columns of shape (..., n) to (...); NaN where it has no value.
        columns: k float arrays of shape (n,), one entry per image.
        seed: of the resampling.
        resamples: how many sets of n images are drawn with replacement.

    Returns:
        The 2.5th and the 97.5th percentile of the statistic.

    Raises:
        NotComputed: fewer than 5 images, an infinite value, or a statistic without a value in many resamples.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    n = len(columns[0])
    if n < MINIMUM_IMAGES:
        raise NotComputed(f"an interval needs at least {MINIMUM_IMAGES} images, there are {n}")
    if any(np.isinf(column).any() for column in columns):
        raise NotComputed("an image has an infinite value")
    generator = np.random.default_rng(seed)
    rows = max(1, _CHUNK // n)
    draws = []
    for start in range(0, resamples, rows):
        chosen = generator.integers(n, size=(min(rows, resamples - start), n))
        draws.append(statistic(*(column[chosen] for column in columns)))
    values = np.concatenate(draws)
    defined = values[~np.isnan(values)]
    if len(defined) < (1 - _DEGENERATE_SHARE) * resamples:
        raise NotComputed("too many resamples are constant")
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
