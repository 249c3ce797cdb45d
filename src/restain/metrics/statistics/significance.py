"""Is one system better than another on the same images? Paired tests, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from restain.metrics.statistics.bootstrap import Groups, NotComputed, bootstrap_interval
from restain.metrics.statistics.moments import MEAN, Statistic, difference_of
from restain.stains import Floats

PERMUTATIONS = 10_000
LEVEL = 0.05
_EXACT_UP_TO = 13  # units: 2^13 sign patterns are fewer than the random ones
_CHUNK = 1_000_000  # signs drawn at a time
_TIE = 1e-12  # relative: sums that differ by rounding are equal


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference of two systems in one metric: first minus second."""

    difference: float
    ci95: tuple[float, float] | None
    p: float | None  # two-sided, before correction; None where there is no test
    p_holm: float | None = None  # after it
    smallest_p: float | None = None  # that any data with as many units could have reached, before correction
    test: str  # its name, or "no test: " and the reason
    n: int  # images that have a value in both
    units: int = 0  # images, or groups of images, whose signs the test flips


def compare_means(
    first: Floats, second: Floats, seed: int, groups: Groups | None = None, *, interval: bool = True
) -> Comparison:
    """Difference of the means of a value per image, with a paired sign-flip permutation test.

    Under the hypothesis that the systems are interchangeable, the sign of each image's difference is arbitrary; the p
    value is the share of sign patterns whose sum is at least as far from 0. All 2^k patterns are visited up to k = 13,
    else 10 000 random ones, with p = (1 + hits) / (1 + 10 000). With ``groups`` the differences of a group keep one
    sign, since fields of one slide are not exchangeable one by one.

    Args:
        first: float (n,), one value per image; NaN where there is none.
        second: float (n,), on the same images.
        seed: of the random sign patterns and of the bootstrap interval of the difference.
        groups: the group of each image.
        interval: whether the interval of the difference is computed, too.

    Raises:
        NotComputed: no image has a value in both, or a value is infinite.

    Source: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses (2005), section 3.7.
    """
    kept = ~(np.isnan(first) | np.isnan(second))
    if not kept.any():
        raise NotComputed("no image has a value in both systems")
    if np.isinf(first[kept]).any() or np.isinf(second[kept]).any():
        raise NotComputed("an image has an infinite value")
    gap = first[kept] - second[kept]
    labels = np.arange(len(gap)) if groups is None else np.unique(groups[kept], return_inverse=True)[1]
    sums: Floats = np.bincount(labels, weights=gap).astype(np.float64)
    exact = len(sums) <= _EXACT_UP_TO
    return Comparison(
        difference=float(gap.mean()),
        ci95=_interval(MEAN, [gap], seed, None if groups is None else groups[kept]) if interval else None,
        p=_exact_p(sums) if exact else _random_p(sums, seed),
        smallest_p=smallest_p(len(sums)),
        test=f"paired permutation, {'exact' if exact else f'{PERMUTATIONS} random sign patterns'}",
        n=len(gap),
        units=len(sums),
    )


def smallest_p(units: int) -> float:
    """The smallest two-sided p that a sign-flip test of so many units can give, whatever the data."""
    return 2.0 ** (1 - units) if units <= _EXACT_UP_TO else 1.0 / (1 + PERMUTATIONS)


def compare_sets(
    statistic: Statistic,
    first: Sequence[Floats],
    second: Sequence[Floats],
    seed: int,
    groups: Groups | None = None,
) -> Comparison:
    """Difference of a statistic over the set, such as a correlation, with its paired bootstrap interval.

    There is no p value: a statistic of the set has no value per image whose sign could be flipped. The interval says
    whether 0 is a plausible difference.

    Args:
        statistic: a function of means over images.
        first: columns (n,) of the first system.
        second: columns of the second, on the same images.
        seed: of the bootstrap.
        groups: the group of each image.
    """
    columns = [*first, *second]
    kept = ~np.isnan(columns).any(axis=0)
    columns = [column[kept] for column in columns]
    difference = difference_of(statistic, len(first))
    value = float(difference(*columns)) if kept.any() else np.nan
    if np.isnan(value):
        raise NotComputed("one of the systems has no value")
    return Comparison(
        difference=value,
        ci95=_interval(difference, columns, seed, None if groups is None else groups[kept]),
        p=None,
        test="no test: paired bootstrap interval of the difference",
        n=int(kept.sum()),
    )


def correct_family(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Holm's correction of the p values of one family, where the family can be tested at all.

    Before a p value is given, the smallest is computed that Holm could leave to the best comparison of the family.
    Where even that is 0.05 or more, no data could show a difference, and the comparisons say so instead of giving a p.

    Source: Holm, Scand. J. Statist. 6 (1979).
    """
    tested = [one for one in comparisons if one.p is not None and one.smallest_p is not None]
    if not tested:
        return list(comparisons)
    least = len(tested) * min(one.smallest_p for one in tested if one.smallest_p is not None)
    if least >= LEVEL:
        units, pairs = max(one.units for one in tested), len(tested)
        kind = "groups" if any(one.units < one.n for one in tested) else "images"
        reason = (
            f"no test: cannot be tested with {units} {kind} and {pairs} {'pair' if pairs == 1 else 'pairs'} "
            f"(the smallest p that any data could reach is {min(least, 1.0):.2g})"
        )
        return [replace(one, p=None, test=reason) if one.p is not None else one for one in comparisons]
    corrected = iter(holm([one.p for one in tested if one.p is not None]))
    return [replace(one, p_holm=next(corrected)) if one.p is not None else one for one in comparisons]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p values of one family; in the order of the input.

    Source: Holm, Scand. J. Statist. 6 (1979).
    """
    order = np.argsort(p_values, kind="stable")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _interval(
    statistic: Statistic, columns: Sequence[Floats], seed: int, groups: Groups | None
) -> tuple[float, float] | None:
    try:
        return bootstrap_interval(statistic, columns, seed=seed, groups=groups)
    except NotComputed:  # too few for an interval: the reason already stands beside the systems' own scores
        return None


def _exact_p(sums: Floats) -> float:
    patterns = np.arange(2 ** len(sums))
    signs = 1 - 2 * ((patterns[:, None] >> np.arange(len(sums))) & 1)
    return float(_as_far(signs @ sums, sums).mean())


def _random_p(sums: Floats, seed: int) -> float:
    generator = np.random.default_rng(seed)
    hits = sum(int(_as_far(signs @ sums, sums).sum()) for signs in _random_signs(generator, len(sums)))
    return (1 + hits) / (1 + PERMUTATIONS)


def _random_signs(generator: np.random.Generator, count: int) -> Iterator[Floats]:
    rows = max(1, _CHUNK // count)
    for start in range(0, PERMUTATIONS, rows):
        size = (min(rows, PERMUTATIONS - start), count)
        yield np.where(generator.integers(2, size=size, dtype=np.int8), 1.0, -1.0)


def _as_far(totals: Floats, sums: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.asarray(np.abs(totals) >= abs(sums.sum()) - _TIE * np.abs(sums).sum())
