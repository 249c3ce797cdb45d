"""What an evaluation wrote: its summary, its table of images, and the image folders that it compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from restain.errors import RestainError
from restain.evaluation.schema import PER_IMAGE, SUMMARY, Score, Scores, Summary, SystemComparison, read_summary
from restain.images import list_images
from restain.reporting.labels import FAMILIES
from restain.reporting.tables import Table, read_table

VIRTUAL = "virtual stain"  # on the page; "virtual" in the files


@dataclass(frozen=True)
class MetricRow:
    """One metric across systems; ``scores`` is keyed by system name as on the page."""

    name: str
    described: Score  # that of the first system; unit, direction, definition and family hold for all
    note: str  # what a reader must know of these very scores
    scores: Scores


@dataclass(frozen=True)
class EvaluationFiles:
    """An evaluation folder; ``missing`` names what is absent."""

    folder: Path
    summary: Summary
    stains: tuple[str, ...]  # the virtual stains
    systems: tuple[str, ...]  # the virtual stains, then the baselines, then the second section of the truth
    rows: tuple[MetricRow, ...]
    comparisons: tuple[SystemComparison, ...]  # names as on the page
    tables: dict[str, Table]  # scores of each image, by virtual stain; empty where the file is gone
    missing: tuple[str, ...]

    @property
    def per_image(self) -> Table | None:
        """Scores of each image of the first virtual stain."""
        return self.tables.get(self.stains[0]) if self.stains else None

    def image_folder(self, side: str) -> Path | None:
        """Folder of one side ("source", "real" or a virtual stain) as the summary names it."""
        folder = self.summary.folders.get("fake" if side == VIRTUAL else side)
        return Path(folder) if folder else None

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
    path = folder / SUMMARY
    if not folder.is_dir():
        raise RestainError(f"{folder}: no such evaluation folder")
    if not path.is_file():
        raise RestainError(f"{folder}: is not an evaluation folder; expected {SUMMARY} in it")
    summary = read_summary(path)
    stains = {shown_name(name): scores for name, scores in summary.systems.items()}
    systems = {**stains, **summary.baselines, **summary.ceiling}
    table = folder / PER_IMAGE
    return EvaluationFiles(
        folder=folder,
        summary=summary,
        stains=tuple(stains),
        systems=tuple(systems),
        rows=_rows(systems),
        comparisons=tuple(_shown(one) for one in summary.comparisons),
        tables=_by_stain(read_table(table), table, tuple(summary.systems)) if table.is_file() else {},
        missing=() if table.is_file() else (PER_IMAGE,),
    )


def half_width(score: Score | SystemComparison) -> float:
    """Half of the 95 % interval; NaN where there is none."""
    return (score.ci95[1] - score.ci95[0]) / 2 if score.ci95 else math.nan


def shown_name(system: str) -> str:
    """The name of a system on the page."""
    return VIRTUAL if system == "virtual" else system


def _rows(systems: dict[str, Scores]) -> tuple[MetricRow, ...]:
    names: dict[str, Scores] = {}
    for system, scores in systems.items():
        for name, score in scores.items():
            names.setdefault(name, {})[system] = score
    rows = []
    order = {family: place for place, family in enumerate(FAMILIES)}
    together = sorted(names.items(), key=lambda item: order.get(next(iter(item[1].values())).family, len(order)))
    for name, scores in together:
        first = next(iter(scores.values()))
        note = next((score.note for score in scores.values() if score.note), "")
        rows.append(MetricRow(name, first, note, scores))
    return tuple(rows)


def _shown(one: SystemComparison) -> SystemComparison:
    names = {"first": shown_name(one.first), "second": shown_name(one.second)}
    return one.model_copy(update=names | {"better": shown_name(one.better) if one.better else None})


def _by_stain(table: Table, path: Path, systems: tuple[str, ...]) -> dict[str, Table]:
    """One table a virtual stain, without the column that names it."""
    if "id" not in table or "system" not in table:
        raise RestainError(f"{path}: has the columns {', '.join(table.columns)}; expected id, system and measures")
    return {shown_name(system): table.where("system", system) for system in systems}
