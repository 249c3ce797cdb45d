"""What an evaluation wrote: its summary as figures, its table of images, and the image folders it judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restain.errors import RestainError
from restain.images import list_images
from restain.reporting.tables import Table, as_number, read_json, read_table

VIRTUAL = "virtual stain"


@dataclass(frozen=True)
class Figure:
    """One metric of one system; the interval is NaN where there is none."""

    mean: float
    low: float
    high: float
    n: int | None

    @property
    def has_interval(self) -> bool:
        """Whether both ends of the 95 % interval are known."""
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True)
class MetricRow:
    """One metric across systems; ``figures`` is keyed by system name."""

    name: str
    unit: str
    direction: str  # "higher" | "lower" | "none": which way is better
    protocol: str
    definition: str
    figures: dict[str, Figure]


@dataclass(frozen=True)
class EvaluationFiles:
    """An evaluation folder; what is absent is empty, and ``missing`` names it."""

    folder: Path
    summary: dict[str, Any]
    systems: tuple[str, ...]  # the virtual stain, then the yardsticks
    rows: tuple[MetricRow, ...]
    not_computed: dict[str, str]
    per_image: Table | None
    missing: tuple[str, ...]

    def image_folder(self, side: str) -> Path | None:
        """Folder of one side ("source", "fake" or "real") as the summary names it."""
        folder = _object(self.summary, "folders", self.folder).get(side)
        return Path(folder) if isinstance(folder, str) and folder else None

    def images(self, side: str) -> dict[str, Path]:
        """Images of one side by id (relative path without suffix); empty where the folder is gone."""
        folder = self.image_folder(side)
        if folder is None or not folder.is_dir():
            return {}
        return {path.relative_to(folder).with_suffix("").as_posix(): path for path in list_images(folder)}


def read_evaluation(folder: Path) -> EvaluationFiles:
    """Read an evaluation folder.

    Raises:
        RestainError: the folder or its ``summary.json`` is absent, or a file in it has another shape.
    """
    path = folder / "summary.json"
    if not folder.is_dir():
        raise RestainError(f"{folder}: no such evaluation folder")
    if not path.is_file():
        raise RestainError(f"{folder}: is not an evaluation folder; expected summary.json in it")
    summary = read_json(path)
    systems = {VIRTUAL: _object(summary, "metrics", path), **_object(summary, "yardsticks", path)}
    table = folder / "per_image.csv"
    reasons = _object(summary, "not_computed", path)
    return EvaluationFiles(
        folder=folder,
        summary=summary,
        systems=tuple(systems),
        rows=_rows(systems, path),
        not_computed={str(name): str(reason) for name, reason in reasons.items()},
        per_image=read_table(table) if table.is_file() else None,
        missing=() if table.is_file() else ("per_image.csv",),
    )


def _object(holder: dict[str, Any], field: str, path: Path) -> dict[str, Any]:
    value = holder.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RestainError(f"{path}: field {field!r} is a {type(value).__name__}; expected an object")
    return value


def _rows(systems: dict[str, Any], path: Path) -> tuple[MetricRow, ...]:
    names: dict[str, dict[str, Any]] = {}
    for system in systems:
        for name in _object(systems, system, path):
            names.setdefault(name, {})[system] = _object(systems[system], name, path)
    rows = []
    for name, entries in names.items():
        described = next(iter(entries.values()))
        rows.append(
            MetricRow(
                name=name,
                unit=str(described.get("unit") or ""),
                direction=str(described.get("direction") or "none"),
                protocol=str(described.get("protocol") or ""),
                definition=str(described.get("definition") or ""),
                figures={system: _figure(entry) for system, entry in entries.items() if "mean" in entry},
            )
        )
    return tuple(rows)


def _figure(entry: dict[str, Any]) -> Figure:
    interval = entry.get("ci95")
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    n = entry.get("n")
    return Figure(as_number(entry["mean"]), as_number(low), as_number(high), n if isinstance(n, int) else None)
