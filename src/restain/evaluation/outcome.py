"""What an evaluation found: systems with their figures, and the part of the summary that holds them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.evaluation.yardsticks import NEEDS_SOURCE
from restain.metrics import Estimate, Metric, NotComputed, estimate
from restain.metrics.bootstrap import Groups

Column: TypeAlias = npt.NDArray[np.float64]  # (n,), one entry per image


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


def judge(
    name: str,
    columns: Mapping[str, Column],
    metrics: Sequence[Metric],
    seed: int,
    groups: Groups | None,
) -> System:
    """Compute the figure of every metric that is made of per-image columns (n,), or say why it has no value."""
    estimates, reasons = {}, {}
    for metric in metrics:
        if not metric.columns:
            continue
        if not columns.keys() >= set(metric.columns):
            reasons[metric.name] = NEEDS_SOURCE
            continue
        try:
            estimates[metric.name] = estimate(metric, columns, seed, groups)
        except NotComputed as reason:
            reasons[metric.name] = str(reason)
            continue
        if estimates[metric.name].no_interval:
            reasons[f"{metric.name} ci95"] = estimates[metric.name].no_interval
    return System(name, columns, estimates, reasons)


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
            } | ({"note": found.note} if found.note else {})
    return figures


def reasons_of(systems: Sequence[System], yardsticks: Sequence[System]) -> dict[str, str]:
    """Why figures are missing: NAME where it is so for all virtual stains alike, else "SYSTEM: NAME"."""
    reasons: dict[str, str] = {}
    for system in systems:
        for name, reason in system.not_computed.items():
            shared = all(other.not_computed.get(name) == reason for other in systems)
            reasons[name if shared else f"{system.name}: {name}"] = reason
    for system in yardsticks:
        reasons |= {f"{system.name}: {name}": reason for name, reason in system.not_computed.items()}
    return reasons
