"""Correlations: of one image's grey levels with its H&E (content), of DAB over a set of images (pathology)."""

from __future__ import annotations

import numpy as np

from restain.images import RGB
from restain.stains import Floats

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, the weights of OpenCV's grey conversion
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


def content_correlation(fake: RGB, source: RGB) -> float:
    """R_content of one image: Pearson's r of the grey levels of a virtual stain and of its H&E, pixel by pixel.

    Args:
        fake: uint8 (H, W, 3).
        source: uint8 of the same shape.

    Returns:
        [-1, 1]; 1 for a copy of the H&E, which is why it is never read alone; NaN where either is one flat grey.

    Source: the evaluation of USIGAN (content correlation), without rounding grey to 8 bits.
    """
    return float(pearson((fake @ _LUMA).ravel(), (source @ _LUMA).ravel()))


def average_correlation(content: Floats, density: Floats, density_real: Floats) -> Floats:
    """R_avg: the mean of R_content (mean over images) and R_pathology (Pearson's r of integrated density).

    Args:
        content: float (..., n), ``content_correlation`` per image, NaN where undefined.
        density: float (..., n), integrated density of the virtual stains.
        density_real: float (..., n), integrated density of the real stains.

    Returns:
        float (...); NaN where either part is undefined.
    """
    return np.asarray((mean_defined(content) + pearson(density, density_real)) / 2)


def mean_defined(values: Floats) -> Floats:
    """Mean along the last axis over what is not NaN; NaN where nothing is left."""
    defined = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0.0).sum(axis=-1) / defined.sum(axis=-1))
