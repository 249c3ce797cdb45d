"""Statistics along the last axis that know of missing and of constant values."""

from __future__ import annotations

import numpy as np

from restain.stains import Floats

_CONSTANT = 1e-12  # a spread below this share of the largest value is rounding, not variation


def pearson(first: Floats, second: Floats) -> Floats:
    """Pearson's r along the last axis.

    Args:
        first: float (..., n).
        second: float (..., n).

    Returns:
        float (...), in [-1, 1]; NaN where either side is constant and r has no value.
    """
    a = first - first.mean(axis=-1, keepdims=True)
    b = second - second.mean(axis=-1, keepdims=True)
    spread_a, spread_b = np.sqrt((a * a).sum(axis=-1)), np.sqrt((b * b).sum(axis=-1))
    varies = (spread_a > _floor(first)) & (spread_b > _floor(second))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = (a * b).sum(axis=-1) / (spread_a * spread_b)
    return np.asarray(np.where(varies, np.clip(r, -1.0, 1.0), np.nan))


def _floor(values: Floats) -> Floats:
    return np.asarray(_CONSTANT * np.sqrt(values.shape[-1]) * np.abs(values).max(axis=-1))


def mean_defined(values: Floats) -> Floats:
    """Mean along the last axis over what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1))
