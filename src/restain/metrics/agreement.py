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


def lower_limit(fake: Floats, real: Floats) -> Floats:
    """Lower 95 % limit of agreement: bias - 1.96 s of the differences, s with n - 1.

    Args:
        fake: float (..., n), n >= 2.
        real: float (..., n).

    Returns:
        float (...), in the unit of the columns. NaN entries of the columns are passed over in pairs.

    Source: Bland and Altman, Lancet 327 (1986).
    """
    bias, spread = _bias_and_spread(fake, real)
    return np.asarray(bias - _LIMIT * spread)


def upper_limit(fake: Floats, real: Floats) -> Floats:
    """Upper 95 % limit of agreement: bias + 1.96 s; see ``lower_limit``."""
    bias, spread = _bias_and_spread(fake, real)
    return np.asarray(bias + _LIMIT * spread)


def _bias_and_spread(fake: Floats, real: Floats) -> tuple[Floats, Floats]:
    differences = fake - real
    known = ~np.isnan(differences)
    n = known.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        bias = np.where(known, differences, 0.0).sum(axis=-1) / n
        residual = np.where(known, differences - bias[..., None], 0.0)
        return bias, np.sqrt((residual**2).sum(axis=-1) / (n - 1))


def intraclass_correlation(ratings: Floats) -> Floats:
    """ICC(2,1): two-way random effects, absolute agreement, one rating per rater.

    Args:
        ratings: float (k, ..., n): k raters of n subjects, k >= 2; a subject with a NaN is passed over.

    Returns:
        float (...), at most 1; below 0 where raters agree less than chance. NaN where all ratings are equal, or
        fewer than two subjects are left.

    Source: Shrout and Fleiss, Psychological Bulletin 86 (1979), ICC(2,1).
    """
    k = len(ratings)
    known = ~np.isnan(ratings).any(axis=0)
    n = known.sum(axis=-1)
    values = np.where(known, ratings, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        grand = values.sum(axis=(0, -1)) / (k * n)
        centred = np.where(known, values - grand[..., None], 0.0)
        subjects, raters = centred.mean(axis=0), centred.sum(axis=-1) / n
        between = k * (subjects**2).sum(axis=-1)
        judges = n * (raters**2).sum(axis=0)
        total = (centred**2).sum(axis=(0, -1))
        bms, jms = between / (n - 1), judges / (k - 1)
        ems = np.maximum(total - between - judges, 0.0) / ((k - 1) * (n - 1))
        varies = total > _ROUNDING * (values**2).sum(axis=(0, -1))
        return np.asarray(np.where(varies, (bms - ems) / (bms + (k - 1) * ems + k * (jms - ems) / n), np.nan))


def agreement_icc(fake: Floats, real: Floats) -> Floats:
    """ICC(2,1) of virtual and real measurements, (..., n) to (...); see ``intraclass_correlation``."""
    return intraclass_correlation(np.stack([fake, real]))


def quadratic_kappa(fake: Floats, real: Floats) -> Floats:
    """Cohen's kappa with quadratic weights, 1 - observed / expected mean squared distance of two classifications.

    Args:
        fake: float (..., n), classes as equally spaced numbers such as 0, 1, 2, 3; pairs with a NaN are passed over.
        real: float (..., n).

    Returns:
        float (...), at most 1; 0 is chance. NaN where both sides always give one and the same class.

    Source: Cohen, Psychological Bulletin 70 (1968). With quadratic weights the table of classes is not needed: the
    expected squared distance of independent draws is var(fake) + var(real) + (difference of means)².
    """
    known = ~np.isnan(fake + real)
    n = known.sum(axis=-1)

    def mean(values: Floats) -> Floats:
        return np.asarray(np.where(known, values, 0.0).sum(axis=-1) / n)

    with np.errstate(invalid="ignore", divide="ignore"):
        mean_fake, mean_real = mean(fake), mean(real)
        variances = mean((fake - mean_fake[..., None]) ** 2) + mean((real - mean_real[..., None]) ** 2)
        expected = variances + (mean_fake - mean_real) ** 2
        return np.asarray(np.where(expected > _ROUNDING, 1.0 - mean((fake - real) ** 2) / expected, np.nan))
