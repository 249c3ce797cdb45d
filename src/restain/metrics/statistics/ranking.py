"""A rank table that neither a blank image, nor the H&E itself, nor a true stain in the wrong place can win."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from restain.metrics.measures import Marker
from restain.metrics.metric import Family, Metric
from restain.metrics.statistics.bootstrap import NotComputed
from restain.stains import Floats

VOTING: tuple[Family, ...] = ("stain", "place", "cells", "learned")  # a blank image or the H&E itself can win the rest
FOR_FREE = ("nuclei_count",)  # ballots in which the H&E is right although nothing was stained
PLACEMENT = "dab_grid_r"
LEAST_PLACEMENT = (
    0.3  # r over tiles: below it the place of the stain explains less than a tenth of the truth's variance
)


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Systems from best to worst."""

    systems: tuple[str, ...]
    mean_rank: Mapping[str, float]  # by system: mean over families; 1 is best
    by_family: Mapping[str, Mapping[str, float]]  # family, system: mean rank over its ballots
    metrics: tuple[str, ...]  # that voted
    displaced: tuple[str, ...]  # systems that stain the wrong places; they rank behind all others
    failed: Mapping[str, tuple[str, ...]]  # system to the families in which it is no better than doing nothing
    without_value: Mapping[str, tuple[str, ...]]  # metric to the systems that were worst in it for lack of a value


def rank_systems(
    metrics: Sequence[Metric],
    values: Mapping[str, Mapping[str, float]],
    marker: Marker | None = None,
    stain: str | None = None,
    nothing: str | None = None,
) -> Ranking:
    """Average rank of each system over the metrics that vote.

    Ranks (1 = best, ties share their mean, and scores closer than the metric's ``step`` tie) are averaged within a
    ballot (metrics of one measurement), then within a family and then over families, so that nothing weighs more for
    having more scores. A system that has no value where another has one is worst in that metric: otherwise a blank
    system would silence the metrics that it fails.

    The families "pixels" and "content" do not vote: on tissue of consecutive sections a blank image or a copied H&E
    is better in them than the true stain (docs/evaluation.md). A metric for certain markers votes where the marker is
    one of them.

    A stain must not be worse than doing nothing in any family. So systems rank first by the number of families in which
    they lose more ballots against the H&E unchanged than they win, or are equal to it; the number of nuclei, which the
    H&E has right, is left out of this.

    All amounts of a stain are right when it is turned upside down. So systems whose mean ``dab_grid_r`` is below 0.3
    (chance is 0) stain the wrong places and rank behind all others, in the order of their own mean ranks.

    Args:
        metrics: rows of the catalogue.
        values: by system, then by metric name.
        marker: where the DAB of the antibody lies; None where it is not known.
        stain: its name, such as "ki67"; None where it is not known.
        nothing: the system among ``values`` that is the H&E unchanged; None where it is not there.

    Raises:
        NotComputed: fewer than two systems, or no metric that votes.
    """
    if len(values) < 2:
        raise NotComputed("a ranking needs at least two systems")
    voters = [
        metric
        for metric in metrics
        if _votes(metric, marker, stain) and any(_has(one, metric) for one in values.values())
    ]
    if not voters:
        raise NotComputed(
            "systems are never ranked on similarity of pixels or to the H&E, which a blank image or the H&E itself can "
            "win; a metric of the stain, its place, the cells or learned features must be among them"
        )
    names = tuple(values)
    families: dict[str, list[Metric]] = {
        family: members for family in VOTING if (members := [one for one in voters if one.family == family])
    }
    by_family: dict[str, Mapping[str, float]] = {
        family: dict(zip(names, _family_ranks(members, values), strict=True)) for family, members in families.items()
    }
    mean_rank = {name: float(np.mean([ranks[name] for ranks in by_family.values()])) for name in names}
    displaced = _displaced(voters, values)
    failed = _failed(families, values, nothing)
    best_first = tuple(sorted(names, key=lambda name: (name in displaced, len(failed.get(name, ())), mean_rank[name])))
    absent = {
        metric.name: lacking
        for metric in voters
        if (lacking := tuple(name for name in names if not _has(values[name], metric)))
    }
    return Ranking(
        systems=best_first,
        mean_rank=mean_rank,
        by_family=by_family,
        metrics=tuple(metric.name for metric in voters),
        displaced=displaced,
        failed=failed,
        without_value=absent,
    )


def _votes(metric: Metric, marker: Marker | None, stain: str | None) -> bool:
    return (
        metric.votes
        and metric.direction != "none"
        and metric.family in VOTING
        and (not metric.markers or marker in metric.markers)
        and (not metric.stains or stain is None or stain in metric.stains)
    )


def _has(scores: Mapping[str, float], metric: Metric) -> bool:
    return bool(np.isfinite(scores.get(metric.name, np.nan)))


def _displaced(voters: Iterable[Metric], values: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    if not any(metric.name == PLACEMENT for metric in voters):
        return ()
    placements = {name: scores.get(PLACEMENT, np.nan) for name, scores in values.items()}
    return tuple(name for name, r in placements.items() if not r >= LEAST_PLACEMENT)


def _family_ranks(metrics: Sequence[Metric], values: Mapping[str, Mapping[str, float]]) -> list[float]:
    ballots: dict[str, list[list[float]]] = {}
    for metric in metrics:
        ballots.setdefault(metric.ballot or metric.name, []).append(_ranks(metric, values))
    return [float(rank) for rank in np.mean([np.mean(ranks, axis=0) for ranks in ballots.values()], axis=0)]


def _failed(
    families: Mapping[str, Sequence[Metric]], values: Mapping[str, Mapping[str, float]], nothing: str | None
) -> dict[str, tuple[str, ...]]:
    """The families in which each system is no better than the H&E unchanged, whoever else there is."""
    if nothing is None:
        return {}
    found = {}
    for name in values:
        pair = {name: values[name], "": values[nothing]}  # two entries even where it is the H&E unchanged itself
        lost = [family for family, members in families.items() if _no_better(members, pair)]
        if lost:
            found[name] = tuple(lost)
    return found


def _no_better(metrics: Sequence[Metric], pair: Mapping[str, Mapping[str, float]]) -> bool:
    """Whether the first of two systems loses more ballots than it wins, or is equal to the second in all."""
    earned = [metric for metric in metrics if metric.ballot not in FOR_FREE]
    if not earned:
        return False
    own, other = _family_ranks(earned, pair)
    return own > other or all(len(set(_ranks(metric, pair))) == 1 for metric in earned)


def _ranks(metric: Metric, values: Mapping[str, Mapping[str, float]]) -> list[float]:
    column = np.array([scores[metric.name] if _has(scores, metric) else np.nan for scores in values.values()])
    worst_last = np.nan_to_num(-column if metric.direction == "higher" else column, nan=np.inf)
    return [float(rank) for rank in rankdata(_tied(worst_last, _step(metric, values)))]


def _step(metric: Metric, values: Mapping[str, Mapping[str, float]]) -> float:
    if not metric.relative_to:
        return metric.step
    whole = next((scores[metric.relative_to] for scores in values.values() if metric.relative_to in scores), 0.0)
    return metric.step * abs(whole)


def _tied(best_first: Floats, step: float) -> Floats:
    """The values, in which those within ``step`` of the best of them are equal to it, then of the next best, and on."""
    tied, leader = best_first.copy(), -np.inf
    for index in np.argsort(best_first, kind="stable"):
        if not best_first[index] <= leader + step:
            leader = best_first[index]
        tied[index] = leader
    return tied
