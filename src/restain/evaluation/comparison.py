"""Systems against each other: paired tests for every pair, and the order of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from restain.evaluation.results import System
from restain.evaluation.schema import Ranks, SystemComparison
from restain.metrics import Metric, NotComputed
from restain.metrics.metric import values_of
from restain.metrics.statistics.bootstrap import Groups
from restain.metrics.statistics.ranking import rank_systems
from restain.metrics.statistics.significance import Comparison, compare_means, compare_sets, holm

FAMILY = "Holm over all pairs of systems within one metric; nothing is corrected over metrics"
_LEVEL = 0.05


def compare_systems(
    metrics: Sequence[Metric],
    systems: Sequence[System],
    baselines: Sequence[System],
    seed: int,
    groups: Groups | None,
) -> list[SystemComparison]:
    """Every pair of virtual stains, and every virtual stain against every baseline, metric by metric.

    Metrics without a direction are left out. The p values of one metric are one family for Holm's
    correction.

    Returns:
        Entries as they stand in the summary.
    """
    pairs = [*combinations(systems, 2), *((one, other) for one in systems for other in baselines)]
    entries = []
    for metric in metrics:
        if metric.direction == "none":
            continue
        found = [
            (first, second, comparison)
            for first, second in pairs
            for comparison in _compare(metric, first, second, seed, groups)
        ]
        tested = [comparison.p for _, _, comparison in found if comparison.p is not None]
        corrected = iter(holm(tested))
        for first, second, comparison in found:
            p_holm = next(corrected) if comparison.p is not None else None
            entries.append(_entry(metric, first, second, comparison, p_holm))
    return entries


def _compare(metric: Metric, first: System, second: System, seed: int, groups: Groups | None) -> Iterator[Comparison]:
    """The comparison, or nothing where a system has no score."""
    if not (metric.name in first.estimates and metric.name in second.estimates):
        return
    if not metric.columns:
        difference = first.estimates[metric.name].value - second.estimates[metric.name].value
        n = first.estimates[metric.name].n
        yield Comparison(difference, None, None, "no test: a distance between sets has no value for each image", n)
        return
    one, other = values_of(metric, first.columns), values_of(metric, second.columns)
    try:
        if metric.level == "image":
            yield compare_means(one[0], other[0], seed, groups)
        else:
            yield compare_sets(metric.combine, one, other, seed, groups)
    except NotComputed:  # such as the infinite PSNR of identical images, which the scores themselves show
        return


def _entry(
    metric: Metric, first: System, second: System, comparison: Comparison, p_holm: float | None
) -> SystemComparison:
    better = None
    if p_holm is not None and p_holm < _LEVEL:
        first_is_better = (comparison.difference > 0) == (metric.direction == "higher")
        better = first.name if first_is_better else second.name
    return SystemComparison(
        metric=metric.name,
        first=first.name,
        second=second.name,
        difference=comparison.difference,
        ci95=comparison.ci95,
        p=comparison.p,
        p_holm=p_holm,
        better=better,
        test=comparison.test,
        n=comparison.n,
    )


def rank_all(metrics: Sequence[Metric], systems: Sequence[System]) -> Ranks:
    """The rank table as it stands in the summary; NotComputed where there can be none."""
    values = {system.name: {name: estimate.value for name, estimate in system.estimates.items()} for system in systems}
    ranking = rank_systems(metrics, values)
    return Ranks(
        systems=list(ranking.systems),
        mean_rank=dict(ranking.mean_rank),
        by_family={family: dict(ranks) for family, ranks in ranking.by_family.items()},
        metrics=list(ranking.metrics),
    )
