"""What an evaluation wrote: its summary as figures, its table of images, and the image folders it judged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restain.errors import RestainError
from restain.images import list_images
from restain.reporting.tables import Table, as_number, read_json, read_table

VIRTUAL = "virtual stain"  # on the page; "virtual" in the files


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
    family: str
    note: str  # what a reader must know of these very figures
    figures: dict[str, Figure]


@dataclass(frozen=True)
class Difference:
    """One system minus another in one metric; NaN where there is no interval or no test."""

    metric: str
    first: str
    second: str
    value: float
    low: float
    high: float
    p: float  # after Holm's correction
    test: str  # its name, or why there is none
    better: str  # which of the two the test finds better; empty where neither


@dataclass(frozen=True)
class EvaluationFiles:
    """An evaluation folder; what is absent is empty, and ``missing`` names it."""

    folder: Path
    summary: dict[str, Any]
    stains: tuple[str, ...]  # the virtual stains
    systems: tuple[str, ...]  # the virtual stains, then the yardsticks
    rows: tuple[MetricRow, ...]
    comparisons: tuple[Difference, ...]
    not_computed: dict[str, str]
    tables: dict[str, Table]  # figures of each image, by virtual stain; empty where the file is gone
    missing: tuple[str, ...]

    @property
    def per_image(self) -> Table | None:
        """Figures of each image of the first virtual stain."""
        return self.tables.get(self.stains[0])

    def image_folder(self, side: str) -> Path | None:
        """Folder of one side ("source", "real" or a virtual stain) as the summary names it."""
        side = "fake" if side == VIRTUAL else side
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
    named = _object(summary, "systems", path) or {"virtual": _object(summary, "metrics", path)}
    stains = {_shown(name): figures for name, figures in named.items()}
    systems = {**stains, **_object(summary, "yardsticks", path)}
    table = folder / "per_image.csv"
    reasons = _object(summary, "not_computed", path)
    return EvaluationFiles(
        folder=folder,
        summary=summary,
        stains=tuple(stains),
        systems=tuple(systems),
        rows=_rows(systems, path),
        comparisons=_differences(summary, path),
        not_computed={str(name): str(reason) for name, reason in reasons.items()},
        tables=_by_stain(read_table(table), tuple(stains)) if table.is_file() else {},
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
                family=str(described.get("family") or ""),
                note=str(described.get("note") or ""),
                figures={system: _figure(entry) for system, entry in entries.items() if "mean" in entry},
            )
        )
    return tuple(rows)


def _shown(system: object) -> str:
    return VIRTUAL if system == "virtual" else str(system)


def _by_stain(table: Table, stains: tuple[str, ...]) -> dict[str, Table]:
    """One table a virtual stain, without the column that names it."""
    if "system" not in table:
        return {stains[0]: table}
    return {stain: table.where("system", stain) for stain in stains}


def _differences(summary: dict[str, Any], path: Path) -> tuple[Difference, ...]:
    entries = summary.get("comparisons") or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise RestainError(f"{path}: field 'comparisons' is no list of objects")
    differences = []
    for entry in entries:
        low, high = _ends(entry)
        differences.append(
            Difference(
                metric=str(entry.get("metric")),
                first=_shown(entry.get("first")),
                second=_shown(entry.get("second")),
                value=as_number(entry.get("difference")),
                low=low,
                high=high,
                p=as_number(entry.get("p_holm")),
                test=str(entry.get("test") or ""),
                better=_shown(entry.get("better") or ""),
            )
        )
    return tuple(differences)


def _figure(entry: dict[str, Any]) -> Figure:
    low, high = _ends(entry)
    n = entry.get("n")
    return Figure(as_number(entry["mean"]), low, high, n if isinstance(n, int) else None)


def _ends(entry: dict[str, Any]) -> tuple[float, float]:
    interval = entry.get("ci95")
    low, high = interval if isinstance(interval, list) and len(interval) == 2 else (None, None)
    return as_number(low), as_number(high)
