"""Is one system better than another on the same images? Paired tests, corrected for how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from restain.metrics.statistics.averages import mean_defined
from restain.metrics.statistics.bootstrap import Groups, NotComputed, percentile_interval
from restain.stains import Floats

PERMUTATIONS = 10_000
_EXACT_UP_TO = 13  # units: 2^13 sign patterns are fewer than the random ones
_MINIMUM_UNITS = 6  # 2 / 2^5 = 0.0625: with fewer, no data whatever could reach p < 0.05
_CHUNK = 1_000_000  # signs drawn at a time
_TIE = 1e-12  # relative: sums that differ by rounding are equal


@dataclass(frozen=True)
class Comparison:
    """The difference of two systems in one metric: first minus second."""

    difference: float
    ci95: tuple[float, float] | None
    p: float | None  # two-sided, before correction; None where there is no test
    test: str  # its name, or "no test: " and the reason
    n: int  # images that have a value in both


def compare_means(first: Floats, second: Floats, seed: int, groups: Groups | None = None) -> Comparison:
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
    interval = _interval(mean_defined, [gap], seed, None if groups is None else groups[kept])
    difference = float(gap.mean())
    if len(sums) < _MINIMUM_UNITS:
        kind = "images" if groups is None else "groups of images"
        reason = f"no test: needs at least {_MINIMUM_UNITS} {kind}, there are {len(sums)}"
        return Comparison(difference, interval, None, reason, len(gap))
    exact = len(sums) <= _EXACT_UP_TO
    return Comparison(
        difference,
        interval,
        p=_exact_p(sums) if exact else _random_p(sums, seed),
        test=f"paired permutation, {'exact' if exact else f'{PERMUTATIONS} random sign patterns'}",
        n=len(gap),
    )


def compare_sets(
    statistic: Callable[..., Floats],
    first: Sequence[Floats],
    second: Sequence[Floats],
    seed: int,
    groups: Groups | None = None,
) -> Comparison:
    """Difference of a statistic over the set, such as a correlation, with its paired bootstrap interval.

    There is no p value: a statistic of the set has no value per image whose sign could be flipped. The interval says
    whether 0 is a plausible difference.

    Args:
        statistic: maps columns (..., n) to (...).
        first: columns (n,) of the first system.
        second: columns of the second, on the same images.
        seed: of the bootstrap.
        groups: the group of each image.
    """
    half = len(first)
    columns = [*first, *second]
    kept = ~np.isnan(columns).any(axis=0)
    columns = [column[kept] for column in columns]

    def difference(*both: Floats) -> Floats:
        return np.asarray(statistic(*both[:half]) - statistic(*both[half:]))

    value = float(difference(*columns)) if kept.any() else np.nan
    if np.isnan(value):
        raise NotComputed("one of the systems has no value")
    interval = _interval(difference, columns, seed, None if groups is None else groups[kept])
    return Comparison(value, interval, None, "no test: paired bootstrap interval of the difference", int(kept.sum()))


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
    statistic: Callable[..., Floats], columns: Sequence[Floats], seed: int, groups: Groups | None
) -> tuple[float, float] | None:
    try:
        return percentile_interval(statistic, columns, seed, groups)
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
