"""What an evaluation found: systems with their figures, and the summary that is written to disk."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.metrics import METRICS, Estimate, NotComputed, Protocol, estimate

VIRTUAL, UNCHANGED, TRANSFER = "virtual", "H&E unchanged", "colour transfer"
NEEDS_SOURCE = "needs the H&E images; give their folder as source"
NEEDS_REFERENCE = "needs IHC images that are not judged, such as the training IHC; give their folder as reference"

Column: TypeAlias = npt.NDArray[np.float64]  # (n,), one entry per image


@dataclass(frozen=True)
class System:
    """One way to make an IHC image from H&E, judged: the virtual stain or a yardstick."""

    name: str
    columns: Mapping[str, Column]  # (n,) per measure, in the order of Evaluation.ids; NaN where undefined
    estimates: Mapping[str, Estimate]  # by metric name
    not_computed: Mapping[str, str]  # metric name (or "NAME ci95") to reason


@dataclass(frozen=True)
class Evaluation:
    """The outcome of ``evaluate``; ``summary`` is what ``summary.json`` holds."""

    out: Path
    ids: tuple[str, ...]
    virtual: System
    yardsticks: tuple[System, ...]
    summary: Mapping[str, Any]


def judge(name: str, columns: Mapping[str, Column], seed: int) -> System:
    """Compute every metric of the registry from per-image columns (n,), or say why it has no value."""
    estimates, reasons = {}, {}
    for metric in METRICS:
        if not columns.keys() >= set(metric.columns):
            reasons[metric.name] = NEEDS_SOURCE
            continue
        try:
            estimates[metric.name] = estimate(metric, columns, seed)
        except NotComputed as reason:
            reasons[metric.name] = str(reason)
            continue
        if estimates[metric.name].no_interval:
            reasons[f"{metric.name} ci95"] = estimates[metric.name].no_interval
    return System(name, columns, estimates, reasons)


def summarise(virtual: System, yardsticks: Sequence[System], protocol: Protocol, seed: int) -> dict[str, Any]:
    """The part of ``summary.json`` that comes from the figures; the rest describes the files."""
    reasons = dict(virtual.not_computed)
    for system in yardsticks:
        reasons |= {f"{system.name}: {name}": reason for name, reason in system.not_computed.items()}
    return {
        "restain": _version(),
        "protocol": protocol.name,
        "protocol_definition": protocol.definition,
        "seed": seed,
        "versions": {
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in ("numpy", "scipy", "scikit-image", "pillow")},
        },
        "metrics": _figures(virtual, protocol),
        "not_computed": reasons,
        "yardsticks": {system.name: _figures(system, protocol) for system in yardsticks},
    }


def _version() -> str:
    try:
        return metadata.version("restain")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "not installed"


def _figures(system: System, protocol: Protocol) -> dict[str, dict[str, Any]]:
    figures = {}
    for metric in METRICS:
        found = system.estimates.get(metric.name)
        if found is not None:
            figures[metric.name] = {
                "mean": found.value if math.isfinite(found.value) else "inf",
                "std": found.std,
                "ci95": list(found.ci95) if found.ci95 else None,
                "n": found.n,
                "level": metric.level,
                "protocol": protocol.name,
                "direction": metric.direction,
                "unit": metric.unit,
                "definition": metric.definition,
                "source": metric.source,
            }
    return figures
