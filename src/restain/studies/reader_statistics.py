"""The statistics of a reader study: agreement, exact shares, signed ranks, non-inferiority.

Intervals of agreement resample groups as wholes (``metrics.statistics.bootstrap``): all readings of a case are drawn
together, and all cases of a slide where its name is known, since they are of one piece of tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, rankdata

from restain.metrics.statistics.agreement import ICC, KAPPA
from restain.metrics.statistics.bootstrap import NotComputed, bootstrap_interval
from restain.metrics.statistics.moments import MEAN, Statistic, difference_of
from restain.stains import Floats
from restain.studies.results import Estimate

Labels = npt.NDArray[np.int64]  # (n,), the group of the case of each reading


@dataclass(frozen=True)
class Paired:
    """Two readings of the same cases, one entry for each pair of readings.

    Attributes:
        first: float64 (n,).
        second: float64 (n,).
        groups: int64 (n,): the group of the case of each entry; a case by itself is a group.
    """

    first: Floats
    second: Floats
    groups: Labels

    @property
    def n(self) -> int:
        """Pairs of readings."""
        return len(self.first)

    @property
    def group_count(self) -> int:
        """Different groups."""
        return len(np.unique(self.groups))


def stack(parts: Sequence[Paired]) -> Paired:
    """Several readers' pairs as one."""
    return Paired(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.second for part in parts]),
        np.concatenate([part.groups for part in parts]),
    )


def kappa(classes: Paired, seed: int) -> Estimate:
    """Quadratic-weighted kappa of classes, with a bootstrap interval over groups.

    Source: Cohen, Psychological Bulletin 70 (1968).
    """
    return _resampled(KAPPA, [classes.first, classes.second], classes.groups, seed, "one class alone was given")


def icc(numbers: Paired, seed: int) -> Estimate:
    """ICC(2,1) of numbers, with a bootstrap interval over groups. Source: Shrout and Fleiss (1979)."""
    return _resampled(ICC, [numbers.first, numbers.second], numbers.groups, seed, "all numbers are equal")


def mean_difference(numbers: Paired, seed: int) -> Estimate:
    """Mean of second - first, with a bootstrap interval over groups."""
    return _resampled(MEAN, [numbers.second - numbers.first], numbers.groups, seed, "there are no readings")


def kappa_difference(new: Paired, old: Paired, seed: int) -> Estimate:
    """Kappa of ``new`` minus kappa of ``old``, paired entry by entry, with a bootstrap interval over groups.

    Args:
        new: readings of an image of the new kind against those of another reader on the old kind.
        old: of the same readers and cases, both on the old kind.
        seed: of the resampling.
    """
    columns = [new.first, new.second, old.first, old.second]
    return _resampled(difference_of(KAPPA, 2), columns, new.groups, seed, "one class alone was given")


def _resampled(statistic: Statistic, columns: list[Floats], groups: Labels, seed: int, nothing: str) -> Estimate:
    n, count = len(groups), len(np.unique(groups))
    value = float(statistic(*columns)) if n > 1 else float("nan")
    if np.isnan(value):
        return Estimate(value=None, ci95=None, n=n, groups=count, note=nothing if n > 1 else "fewer than two readings")
    try:
        low, high = bootstrap_interval(statistic, columns, seed=seed, groups=groups)
    except NotComputed as error:
        reason = str(error).replace("groups of images", "cases or groups of them")
        return Estimate(value=value, ci95=None, n=n, groups=count, note=reason)
    return Estimate(value=value, ci95=(low, high), n=n, groups=count)


def share_over_groups(hits: Floats, groups: Labels, seed: int) -> Estimate:
    """Mean of 0 and 1 with a bootstrap interval over groups, cut off at 0 and 1."""
    found = _resampled(MEAN, [hits], groups, seed, "there are no readings")
    if found.ci95 is None:
        return found
    low, high = found.ci95  # a studentised end can lie outside the possible
    if low == high:
        return found.model_copy(update={"ci95": None, "note": "all cases gave the same share"})
    return found.model_copy(update={"ci95": (max(0.0, low), min(1.0, high))})


def exact_share(hits: int, n: int, groups: int) -> Estimate:
    """A share with its exact 95 % interval.

    Source: Clopper and Pearson, Biometrika 26 (1934).
    """
    if n == 0:
        return Estimate(value=None, ci95=None, n=0, groups=0, note="there are no readings")
    interval = binomtest(hits, n).proportion_ci(0.95, method="exact")
    return Estimate(value=hits / n, ci95=(float(interval.low), float(interval.high)), n=n, groups=groups)


def against_half(hits: int, n: int) -> float | None:
    """Two-sided exact binomial p of a share against one half; None without readings."""
    return float(binomtest(hits, n, 0.5).pvalue) if n else None


def signed_rank(differences: Floats) -> tuple[float | None, str]:
    """Two-sided p of Wilcoxon's signed-rank test, and its name or the reason why there is none.

    Differences of 0 are left out; equal ones share their mean rank. The p value is exact, given the ranks, whatever
    their ties: the distribution of the rank sum over all 2^n patterns of signs is built up rank by rank.

    Source: Wilcoxon, Biometrics Bulletin 1 (1945).
    """
    moved = differences[differences != 0]
    if not len(moved):
        return None, f"no test: {'no pair of readings differs' if len(differences) else 'there are no readings'}"
    ranks = np.rint(2 * rankdata(np.abs(moved))).astype(np.int64)  # twice the ranks are whole numbers
    chance = np.zeros(int(ranks.sum()) + 1)  # of each sum of the ranks with a positive sign
    chance[0] = 1.0
    for rank in ranks:
        chance[rank:] = (chance[rank:] + chance[:-rank]) / 2
        chance[:rank] /= 2
    distance = np.abs(2 * np.arange(len(chance)) - len(chance) + 1)  # from the middle
    found = int(ranks[moved > 0].sum())
    return float(min(1.0, chance[distance >= distance[found]].sum())), "Wilcoxon signed-rank, two-sided, exact"
