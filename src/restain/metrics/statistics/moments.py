"""Statistics that are functions of means over images, so that thousands of resamples are one matrix product.

A mean, Pearson's r, an intraclass correlation, kappa and the limits of agreement all follow from the means of a few
numbers of each image (its value, its square, a product). A resample weighs images by how often they were drawn: the
means of all resamples are ``counts @ features / n``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from restain.stains import Floats

CONSTANT = 1e-12  # a spread below this share of the largest value is rounding, not variation


@dataclass(frozen=True)
class Statistic:
    """A smooth function of means over images.

    Attributes:
        features: columns (..., n) -> the numbers of each image, (p, ..., n).
        value: means (p, ...) of the features over ``n`` images, and n -> (...); NaN where there is no value.
        scale: where the value is near to normal, and its studentised interval is made: "identity"; "fisher" for a
            correlation in [-1, 1]; "log" for an agreement v, at most 1, as -log(1 - v).
    """

    features: Callable[..., Floats]
    value: Callable[[Floats, Floats | int], Floats]
    scale: Literal["identity", "fisher", "log"] = "identity"

    def __call__(self, *columns: Floats) -> Floats:
        """Of columns (..., n) over their last axis: (...)."""
        return np.asarray(self.value(self.features(*columns).mean(axis=-1), columns[0].shape[-1]))


def difference_of(statistic: Statistic, count: int) -> Statistic:
    """The statistic of the first ``count`` columns minus that of the others."""

    def features(*columns: Floats) -> Floats:
        return np.concatenate([statistic.features(*columns[:count]), statistic.features(*columns[count:])])

    def value(means: Floats, n: Floats | int) -> Floats:
        half = len(means) // 2
        return np.asarray(statistic.value(means[:half], n) - statistic.value(means[half:], n))

    return Statistic(features, value)


def mean_of(statistic: Statistic, parts: int) -> Statistic:
    """The mean of a statistic over so many sets of columns, one set after the other, such as one a training."""

    def features(*columns: Floats) -> Floats:
        count = len(columns) // parts
        return np.concatenate([statistic.features(*columns[n * count : (n + 1) * count]) for n in range(parts)])

    def value(means: Floats, n: Floats | int) -> Floats:
        return np.asarray(np.mean([statistic.value(part, n) for part in np.split(means, parts)], axis=0))

    return Statistic(features, value, statistic.scale)


def standardised(values: Floats) -> Floats:
    """(values - mean) / standard deviation over the last axis; exactly 0 where they vary by rounding only."""
    centred = values - values.mean(axis=-1, keepdims=True)
    spread = np.sqrt((centred * centred).mean(axis=-1, keepdims=True))
    varies = spread > CONSTANT * np.abs(values).max(axis=-1, keepdims=True)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred, dtype=np.float64), where=varies))


def products(x: Floats, y: Floats) -> Floats:
    """The features x, y, x², y², xy of two columns (..., n): (5, ..., n)."""
    return np.stack([x, y, x * x, y * y, x * y])


def _mean_features(values: Floats) -> Floats:
    return np.asarray(values)[None]


def _mean_value(means: Floats, n: Floats | int) -> Floats:
    return np.asarray(means[0])


MEAN = Statistic(_mean_features, _mean_value)
