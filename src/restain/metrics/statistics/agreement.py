"""Agreement of two measurements of the same images: bias and its limits, intraclass correlation, weighted kappa."""

from __future__ import annotations

import numpy as np

from restain.metrics.statistics.moments import CONSTANT, Statistic, products
from restain.stains import Floats

_LIMIT = 1.96  # standard deviations that hold 95 % of normal differences


def difference(fake: Floats, real: Floats) -> Floats:
    """Virtual minus real, (..., n); its mean is Bland and Altman's bias."""
    return np.asarray(fake - real)


def absolute_difference(fake: Floats, real: Floats) -> Floats:
    """|virtual - real|, (..., n)."""
    return np.asarray(np.abs(fake - real))


def _limit_features(fake: Floats, real: Floats) -> Floats:
    differences = fake - real
    bias = differences.mean(axis=-1, keepdims=True) + np.zeros_like(differences)
    return np.stack([differences - bias, (differences - bias) ** 2, bias])  # around the bias, so that nothing cancels


def _limit(means: Floats, n: Floats | int, side: float) -> Floats:
    shift, square, bias = means
    variance = np.maximum(square - shift * shift, 0.0) * n / np.maximum(np.asarray(n) - 1, 1)
    return np.asarray(bias + shift + side * _LIMIT * np.sqrt(variance))


LOWER_LIMIT = Statistic(_limit_features, lambda means, n: _limit(means, n, -1.0))
UPPER_LIMIT = Statistic(_limit_features, lambda means, n: _limit(means, n, 1.0))


def lower_limit(fake: Floats, real: Floats) -> Floats:
    """Lower 95 % limit of agreement: bias - 1.96 s of the differences, s with n - 1.

    Args:
        fake: float (..., n), n >= 2.
        real: float (..., n).

    Returns:
        float (...), in the unit of the columns.

    Source: Bland and Altman, Lancet 327 (1986).
    """
    return LOWER_LIMIT(fake, real)


def upper_limit(fake: Floats, real: Floats) -> Floats:
    """Upper 95 % limit of agreement: bias + 1.96 s; see ``lower_limit``."""
    return UPPER_LIMIT(fake, real)


def _common_features(fake: Floats, real: Floats) -> Floats:
    """``products`` on one common scale: agreement does not change with the unit, but with a shift of one side."""
    both = np.stack([fake, real])
    centre = both.mean(axis=(0, -1))[..., None]
    spread = np.sqrt(((both - centre) ** 2).mean(axis=(0, -1)))[..., None]
    varies = spread > CONSTANT * np.abs(both).max(axis=(0, -1))[..., None]
    scale = np.where(varies, spread, 1.0)
    return products(*(np.where(varies, (side - centre) / scale, 0.0) for side in (fake, real)))


def _icc(means: Floats, n: Floats | int) -> Floats:
    x, y, xx, yy, xy = means
    grand, n = (x + y) / 2, np.asarray(n, dtype=np.float64)
    total = n * (xx + yy - 2 * grand * grand)
    between_subjects = n * ((xx + yy + 2 * xy) / 2 - 2 * grand * grand)
    between_raters = n * ((x - grand) ** 2 + (y - grand) ** 2)
    bms, jms = between_subjects / (n - 1), between_raters
    ems = np.maximum(total - between_subjects - between_raters, 0.0) / (n - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > CONSTANT * n, (bms - ems) / (bms + ems + 2 * (jms - ems) / n), np.nan))


ICC = Statistic(_common_features, _icc, scale="log")


def agreement_icc(fake: Floats, real: Floats) -> Floats:
    """ICC(2,1) of two measurements: two-way random effects, absolute agreement, one rating per rater.

    Args:
        fake: float (..., n), n >= 2.
        real: float (..., n).

    Returns:
        float (...), at most 1; below 0 where the two agree less than chance; NaN where all ratings are equal.

    Source: Shrout and Fleiss, Psychological Bulletin 86 (1979), ICC(2,1), for two raters.
    """
    return ICC(fake, real)


def _kappa(means: Floats, n: Floats | int) -> Floats:
    x, y, xx, yy, xy = means
    observed, expected = xx + yy - 2 * xy, xx + yy - 2 * x * y
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(expected > CONSTANT, 1.0 - observed / expected, np.nan))


KAPPA = Statistic(_common_features, _kappa, scale="log")


def _class_kappa(means: Floats, n: Floats | int) -> Floats:
    _, y, _, yy, _ = means
    return np.asarray(np.where(yy - y * y > CONSTANT, _kappa(means, n), np.nan))


CLASS_KAPPA = Statistic(_common_features, _class_kappa, scale="log")  # no value where the real side is in one class


def quadratic_kappa(fake: Floats, real: Floats) -> Floats:
    """Cohen's kappa with quadratic weights, 1 - observed / expected mean squared distance of two classifications.

    Args:
        fake: float (..., n), classes as equally spaced numbers such as 0, 1, 2, 3.
        real: float (..., n).

    Returns:
        float (...), at most 1; 0 is chance. NaN where both sides always give one and the same class.

    Source: Cohen, Psychological Bulletin 70 (1968). With quadratic weights the table of classes is not needed: the
    expected squared distance of independent draws is var(fake) + var(real) + (difference of means)².
    """
    return KAPPA(fake, real)
