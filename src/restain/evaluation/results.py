"""What an evaluation found: systems with their figures, and the part of the summary that holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.evaluation.baselines import NEEDS_SOURCE
from restain.metrics import Estimate, Metric, NotComputed, estimate
from restain.metrics.statistics.bootstrap import Groups

Column: TypeAlias = npt.NDArray[np.floating]  # (n,), one entry per image


@dataclass(frozen=True)
class Evidence:
    """All that was measured on a system, before it is judged."""

    columns: Mapping[str, Column]  # (n,) by name
    figures: Mapping[str, Estimate]  # of the set as a whole, by metric name
    missing: Mapping[str, str]  # metric name to the reason that it could not be measured


@dataclass(frozen=True)
class System:
    """One way to make an IHC image from H&E, judged: a virtual stain or a yardstick."""

    name: str
    columns: Mapping[str, Column]  # (n,) per measure, in the order of Evaluation.ids; NaN where undefined
    estimates: Mapping[str, Estimate]  # by metric name
    not_computed: Mapping[str, str]  # metric name (or "NAME ci95") to reason


@dataclass(frozen=True)
class Evaluation:
    """The outcome of ``evaluate``; ``summary`` is what ``summary.json`` holds."""

    out: Path
    ids: tuple[str, ...]
    metrics: tuple[Metric, ...]  # that were asked for
    systems: tuple[System, ...]  # virtual stains, in the order given
    yardsticks: tuple[System, ...]
    summary: Mapping[str, Any]

    @property
    def virtual(self) -> System:
        """The first, and mostly the only, virtual stain."""
        return self.systems[0]


def judge(name: str, evidence: Evidence, metrics: Sequence[Metric], seed: int, groups: Groups | None) -> System:
    """Compute the figure of every metric from the evidence on a system, or say why it has no value."""
    estimates, reasons = {}, {}
    for metric in metrics:
        try:
            found = _estimate(metric, evidence, seed, groups)
        except NotComputed as reason:
            reasons[metric.name] = str(reason)
            continue
        estimates[metric.name] = found
        if found.no_interval:
            reasons[f"{metric.name} ci95"] = found.no_interval
    return System(name, evidence.columns, estimates, reasons)


def _estimate(metric: Metric, evidence: Evidence, seed: int, groups: Groups | None) -> Estimate:
    if metric.name in evidence.figures:
        return evidence.figures[metric.name]
    if metric.name in evidence.missing:
        raise NotComputed(evidence.missing[metric.name])
    if not evidence.columns.keys() >= set(metric.columns):
        raise NotComputed(NEEDS_SOURCE)
    return estimate(metric, evidence.columns, seed, groups)


def figures_of(system: System, metrics: Sequence[Metric], protocol: str) -> dict[str, dict[str, Any]]:
    """A system's figures as they stand in the summary."""
    figures = {}
    for metric in metrics:
        found = system.estimates.get(metric.name)
        if found is not None:
            figures[metric.name] = {
                "mean": found.value if math.isfinite(found.value) else "inf",
                "std": found.std,
                "ci95": list(found.ci95) if found.ci95 else None,
                "n": found.n,
                "level": metric.level,
                "family": metric.family,
                "protocol": protocol,
                "direction": metric.direction,
                "unit": metric.unit,
                "definition": metric.definition,
                "source": metric.source,
                **({"note": found.note} if found.note else {}),
                **({"details": dict(found.details)} if found.details else {}),
            }
    return figures


def reasons_of(systems: Sequence[System], yardsticks: Sequence[System]) -> dict[str, str]:
    """Why figures are missing: NAME where it is so for all virtual stains alike, else "SYSTEM: NAME".

    A yardstick's reason is left out where it is that of the virtual stains.
    """
    reasons: dict[str, str] = {}
    for system in systems:
        for name, reason in system.not_computed.items():
            shared = all(other.not_computed.get(name) == reason for other in systems)
            reasons[name if shared else f"{system.name}: {name}"] = reason
    for system in yardsticks:
        own = {name: reason for name, reason in system.not_computed.items() if reasons.get(name) != reason}
        reasons |= {f"{system.name}: {name}": reason for name, reason in own.items()}
    return reasons
