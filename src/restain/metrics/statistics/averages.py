"""Pearson's r, and a mean that knows of missing values."""

from __future__ import annotations

import numpy as np

from restain.metrics.statistics.moments import Statistic, products, standardised
from restain.stains import Floats

_NO_SPREAD = 1e-10  # of a variance, in units of the variance over all images


def _pearson_features(first: Floats, second: Floats) -> Floats:
    return products(standardised(first), standardised(second))


def pearson_of_means(means: Floats, n: Floats | int) -> Floats:
    """r from the means (5, ...) of ``products``."""
    x, y, xx, yy, xy = means
    spread_x, spread_y = xx - x * x, yy - y * y
    varies = (spread_x > _NO_SPREAD) & (spread_y > _NO_SPREAD)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (xy - x * y) / np.sqrt(spread_x * spread_y)
    return np.asarray(np.where(varies, np.clip(r, -1.0, 1.0), np.nan))


PEARSON = Statistic(_pearson_features, pearson_of_means, scale="fisher")


def pearson(first: Floats, second: Floats) -> Floats:
    """Pearson's r along the last axis.

    Args:
        first: float (..., n).
        second: float (..., n).

    Returns:
        float (...), in [-1, 1]; NaN where either side is constant and r has no value.
    """
    return PEARSON(first, second)


def mean_defined(values: Floats) -> Floats:
    """Mean along the last axis over what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1))
