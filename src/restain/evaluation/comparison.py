"""Systems against each other: paired tests for the pairs that were asked for, and the order of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Literal

from restain.evaluation.inputs import UNCHANGED
from restain.evaluation.results import System
from restain.evaluation.schema import Ranks, SystemComparison
from restain.metrics import Metric, NotComputed
from restain.metrics.measures import Marker
from restain.metrics.metric import values_of
from restain.metrics.statistics.bootstrap import Groups
from restain.metrics.statistics.ranking import rank_systems
from restain.metrics.statistics.significance import LEVEL, Comparison, compare_means, compare_sets, correct_family
from restain.progress import ProgressBar

FAMILY = (
    "Holm within one metric, over the pairs of systems that were asked for; the pairs of a system with a baseline are "
    "a family of their own; nothing is corrected over metrics"
)


def pairs_asked(
    systems: Sequence[System], baselines: Sequence[System], test: str | None
) -> dict[Literal["systems", "baselines"], list[tuple[System, System]]]:
    """The pairs to be tested, by family: virtual stains with each other, and with the baselines.

    Args:
        systems: the virtual stains.
        baselines: what learns nothing.
        test: name of the one system whose pairs are asked for; None for all.
    """
    asked = [system for system in systems if test in (None, system.name)]
    between = [pair for pair in combinations(systems, 2) if any(one in asked for one in pair)]
    if test is not None:  # the system that was asked for comes first
        between = [pair if pair[0].name == test else (pair[1], pair[0]) for pair in between]
    return {"systems": between, "baselines": [(one, other) for one in asked for other in baselines]}


def compare_systems(
    metrics: Sequence[Metric],
    systems: Sequence[System],
    baselines: Sequence[System],
    *,
    seed: int,
    groups: Groups | None,
    test: str | None = None,
) -> list[SystemComparison]:
    """The pairs that were asked for, metric by metric, as they stand in the summary.

    Metrics without a direction are left out.
    """
    entries: list[SystemComparison] = []
    families = pairs_asked(systems, baselines, test)
    directed = [metric for metric in metrics if metric.direction != "none"]
    if not any(families.values()):
        return []
    with ProgressBar("differences and tests", total=len(directed), unit="metrics") as bar:
        for metric in directed:
            for family, pairs in families.items():
                found = [(pair, one) for pair in pairs if (one := _compare(metric, *pair, seed, groups)) is not None]
                corrected = correct_family([one for _, one in found])
                entries += [
                    _entry(metric, family, first, second, comparison)
                    for ((first, second), _), comparison in zip(found, corrected, strict=True)
                ]
            bar.advance()
    return entries


def _compare(metric: Metric, first: System, second: System, seed: int, groups: Groups | None) -> Comparison | None:
    """The comparison, or None where a system has no score."""
    if not (metric.name in first.estimates and metric.name in second.estimates):
        return None
    if not metric.columns:
        one, other = first.estimates[metric.name], second.estimates[metric.name]
        reason = "no test: a distance between sets has no value for each image"
        return Comparison(difference=one.value - other.value, ci95=None, p=None, test=reason, n=one.n)
    columns, others = values_of(metric, first.columns), values_of(metric, second.columns)
    try:
        if metric.statistic is None:
            found = compare_means(columns[0], others[0], seed, groups)
        else:
            found = compare_sets(metric.statistic, columns, others, seed, groups)
    except NotComputed:  # such as the infinite PSNR of identical images, which the scores themselves show
        return None
    if found.ci95 is None:
        return found
    low, high = metric.bounds  # a studentised end can lie outside the possible
    widest = high - low
    return replace(found, ci95=(max(found.ci95[0], -widest), min(found.ci95[1], widest)))


def _entry(
    metric: Metric, family: Literal["systems", "baselines"], first: System, second: System, comparison: Comparison
) -> SystemComparison:
    better = None
    if comparison.p_holm is not None and comparison.p_holm < LEVEL:
        first_is_better = (comparison.difference > 0) == (metric.direction == "higher")
        better = first.name if first_is_better else second.name
    return SystemComparison(
        metric=metric.name,
        family=family,
        first=first.name,
        second=second.name,
        difference=comparison.difference,
        ci95=comparison.ci95,
        p=comparison.p,
        p_holm=comparison.p_holm,
        better=better,
        test=comparison.test,
        n=comparison.n,
    )


def rank_all(
    metrics: Sequence[Metric], systems: Sequence[System], marker: Marker | None, stain: str | None = None
) -> Ranks:
    """The rank table as it stands in the summary; NotComputed where there can be none."""
    values = {system.name: {name: estimate.value for name, estimate in system.estimates.items()} for system in systems}
    ranking = rank_systems(metrics, values, marker, stain, UNCHANGED if UNCHANGED in values else None)
    return Ranks(
        systems=list(ranking.systems),
        mean_rank=dict(ranking.mean_rank),
        by_family={family: dict(ranks) for family, ranks in ranking.by_family.items()},
        metrics=list(ranking.metrics),
        displaced=list(ranking.displaced),
        failed={name: list(families) for name, families in ranking.failed.items()},
        without_value={metric: list(names) for metric, names in ranking.without_value.items()},
    )
