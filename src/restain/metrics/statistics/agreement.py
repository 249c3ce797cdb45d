"""Agreement of two measurements of the same images: bias and its limits, intraclass correlation, weighted kappa.

All map columns (..., n) to (...), so that a bootstrap computes thousands of resamples at once.
"""

from __future__ import annotations

import numpy as np

from restain.stains import Floats

_LIMIT = 1.96  # standard deviations that hold 95 % of normal differences
_ROUNDING = 1e-12


def difference(fake: Floats, real: Floats) -> Floats:
    """Virtual minus real, (..., n); its mean is Bland and Altman's bias."""
    return np.asarray(fake - real)


def absolute_difference(fake: Floats, real: Floats) -> Floats:
    """|virtual - real|, (..., n)."""
    return np.asarray(np.abs(fake - real))


def lower_limit(fake: Floats, real: Floats) -> Floats:
    """Lower 95 % limit of agreement: bias - 1.96 s of the differences, s with n - 1.

    Args:
        fake: float (..., n), n >= 2.
        real: float (..., n).

    Returns:
        float (...), in the unit of the columns.

    Source: Bland and Altman, Lancet 327 (1986).
    """
    differences = fake - real
    return np.asarray(differences.mean(axis=-1) - _LIMIT * differences.std(axis=-1, ddof=1))


def upper_limit(fake: Floats, real: Floats) -> Floats:
    """Upper 95 % limit of agreement: bias + 1.96 s; see ``lower_limit``."""
    return -lower_limit(real, fake)


def intraclass_correlation(ratings: Floats) -> Floats:
    """ICC(2,1): two-way random effects, absolute agreement, one rating per rater.

    Args:
        ratings: float (k, ..., n): k raters of n subjects, both at least 2.

    Returns:
        float (...), at most 1; below 0 where raters agree less than chance; NaN where all ratings are equal.

    Source: Shrout and Fleiss, Psychological Bulletin 86 (1979), ICC(2,1).
    """
    k, n = len(ratings), ratings.shape[-1]
    grand = ratings.mean(axis=(0, -1))
    centred = ratings - grand[..., None]
    between_subjects = k * (centred.mean(axis=0) ** 2).sum(axis=-1)
    between_raters = n * (centred.mean(axis=-1) ** 2).sum(axis=0)
    total = (centred**2).sum(axis=(0, -1))
    bms, jms = between_subjects / (n - 1), between_raters / (k - 1)
    ems = np.maximum(total - between_subjects - between_raters, 0.0) / ((k - 1) * (n - 1))
    varies = total > _ROUNDING * (ratings**2).sum(axis=(0, -1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(varies, (bms - ems) / (bms + (k - 1) * ems + k * (jms - ems) / n), np.nan))


def agreement_icc(fake: Floats, real: Floats) -> Floats:
    """ICC(2,1) of virtual and real measurements, (..., n) to (...); see ``intraclass_correlation``."""
    return intraclass_correlation(np.stack([fake, real]))


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
    observed = ((fake - real) ** 2).mean(axis=-1)
    expected = fake.var(axis=-1) + real.var(axis=-1) + (fake.mean(axis=-1) - real.mean(axis=-1)) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(expected > _ROUNDING, 1.0 - observed / expected, np.nan))
