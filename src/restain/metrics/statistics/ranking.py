"""A rank table that neither a blank image nor the H&E itself can win: similarity of pixels has no say in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from restain.metrics.metric import Family, Metric
from restain.metrics.statistics.bootstrap import NotComputed

VOTING: tuple[Family, ...] = ("stain", "cells", "learned")  # a blank image or the H&E itself can win the others


@dataclass(frozen=True)
class Ranking:
    """Systems from best to worst."""

    systems: tuple[str, ...]
    mean_rank: Mapping[str, float]  # by system: mean over families; 1 is best
    by_family: Mapping[str, Mapping[str, float]]  # family, system: mean rank over its metrics
    metrics: tuple[str, ...]  # that had a say


def rank_systems(metrics: Sequence[Metric], values: Mapping[str, Mapping[str, float]]) -> Ranking:
    """Average rank of each system over metrics that have a direction.

    Ranks (1 = best, ties share their mean) are averaged within a family of metrics and then over families, so that a
    family does not weigh more because it has more metrics. A metric counts where every system has a value. The
    families "pixels" and "content" have no say: on tissue of consecutive sections a blank image or a copied H&E
    outdoes the true stain in them (docs/evaluation.md).

    Args:
        metrics: rows of the catalogue.
        values: by system, then by metric name.

    Raises:
        NotComputed: fewer than two systems, or no metric that has a say.
    """
    if len(values) < 2:
        raise NotComputed("a ranking needs at least two systems")
    voters = [
        metric
        for metric in metrics
        if metric.direction != "none"
        and metric.family in VOTING
        and all(np.isfinite(scores.get(metric.name, np.nan)) for scores in values.values())
    ]
    if not voters:
        raise NotComputed(
            "systems are never ranked on similarity of pixels or to the H&E, which a blank image or the H&E itself can "
            "win; a metric of the stain, the cells or learned features must be among them"
        )
    names = tuple(values)
    by_family: dict[str, dict[str, float]] = {
        family: dict(zip(names, np.mean([_ranks(metric, values) for metric in members], axis=0).tolist(), strict=True))
        for family in VOTING
        if (members := [metric for metric in voters if metric.family == family])
    }
    mean_rank = {name: float(np.mean([ranks[name] for ranks in by_family.values()])) for name in names}
    best_first = tuple(sorted(names, key=lambda name: mean_rank[name]))
    return Ranking(best_first, mean_rank, by_family, tuple(metric.name for metric in voters))


def _ranks(metric: Metric, values: Mapping[str, Mapping[str, float]]) -> list[float]:
    column = np.array([scores[metric.name] for scores in values.values()])
    return [float(rank) for rank in rankdata(-column if metric.direction == "higher" else column)]
