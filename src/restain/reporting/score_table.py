"""The table of scores with its baselines, what differs, and how values spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from restain.evaluation.schema import Score, SystemComparison
from restain.reporting import charts
from restain.reporting.evaluation_files import EvaluationFiles, MetricRow
from restain.reporting.labels import label, number
from restain.reporting.pictures import svg_uri


@dataclass(frozen=True)
class Cell:
    """One system's score in a row; ``lost``: a virtual stain that is not better than one of the baselines."""

    system: str
    score: Score | None
    lost: bool
    span: tuple[float, float, float] | None  # low, mean, high in percent of the row's common axis


@dataclass(frozen=True)
class TableRow:
    """A metric and its cells, one a system."""

    metric: MetricRow
    cells: tuple[Cell, ...]

    @property
    def shared(self) -> bool:
        """Whether all systems have the same score, as with what describes the true IHC alone."""
        first = self.cells[0].score
        return len(self.cells) > 1 and all(cell.score == first for cell in self.cells)


def scores_table(evaluation: EvaluationFiles) -> list[TableRow]:
    """The scores, virtual stains first, then the baselines."""
    rows = []
    for metric in evaluation.rows:
        ends = [
            value
            for score in metric.scores.values()
            for value in (score.mean, *(score.ci95 or ()))
            if math.isfinite(value)
        ]
        axis = (min(ends), max(ends)) if ends else (0.0, 0.0)
        cells = tuple(_cell(metric, system, evaluation, axis) for system in evaluation.systems)
        rows.append(TableRow(metric, cells))
    return rows


def _cell(metric: MetricRow, system: str, evaluation: EvaluationFiles, axis: tuple[float, float]) -> Cell:
    score = metric.scores.get(system)
    others = [one.mean for name, one in metric.scores.items() if name in evaluation.summary.baselines]
    lost = False
    if score and others and system in evaluation.stains:
        worse = {"higher": score.mean <= max(others), "lower": score.mean >= min(others)}
        lost = worse.get(metric.described.direction, False)
    span = None
    if score and axis[1] > axis[0] and math.isfinite(score.mean):
        low, high = score.ci95 or (score.mean, score.mean)
        ends = (100.0 * (end - axis[0]) / (axis[1] - axis[0]) for end in (low, score.mean, high))
        span = next(ends), next(ends), next(ends)
    return Cell(system, score, lost, span)


@dataclass(frozen=True)
class DifferenceRow:
    """One metric and its differences, one a pair of systems; None where a pair has none."""

    metric: MetricRow
    cells: tuple[SystemComparison | None, ...]


def differences_table(evaluation: EvaluationFiles) -> tuple[list[tuple[str, str]], list[DifferenceRow]]:
    """Pairs of systems, and a row a metric."""
    pairs = list(dict.fromkeys((one.first, one.second) for one in evaluation.comparisons))
    found = {(one.metric, one.first, one.second): one for one in evaluation.comparisons}
    rows = [DifferenceRow(row, tuple(found.get((row.name, *pair)) for pair in pairs)) for row in evaluation.rows]
    return pairs, [row for row in rows if any(row.cells)]


@dataclass(frozen=True)
class PublishedRow:
    """One method of the literature; ``cells`` holds (score, comparable) or None, one a metric."""

    method: str
    protocol: str
    source: str
    cells: tuple[tuple[str, bool] | None, ...]


def published_table(evaluation: EvaluationFiles) -> tuple[list[str], list[PublishedRow]]:
    """Metrics of the literature, and a row a method and source below those of the virtual stains.

    Both are empty where no literature was asked for.
    """
    entries = evaluation.summary.literature.rows if evaluation.summary.literature else []
    metrics = list(dict.fromkeys(entry.metric for entry in entries))
    own = [_own_row(evaluation, stain, metrics) for stain in evaluation.stains if entries]
    rows: dict[tuple[str, str, str], dict[str, tuple[str, bool]]] = {}
    for entry in entries:
        spread = f" ± {entry.std:g}" if entry.std else ""
        cell = (f"{entry.value:g}{spread}", entry.comparable)
        rows.setdefault((entry.method, entry.protocol, entry.source), {})[entry.metric] = cell
    return metrics, own + [PublishedRow(*key, tuple(map(cells.get, metrics))) for key, cells in rows.items()]


def _own_row(evaluation: EvaluationFiles, stain: str, metrics: list[str]) -> PublishedRow:
    scores = {row.name: row.scores[stain] for row in evaluation.rows if stain in row.scores}
    cells = ((number(scores[metric].mean), True) if metric in scores else None for metric in metrics)
    return PublishedRow(stain, evaluation.summary.protocol, "this evaluation", tuple(cells))


def distributions_uri(evaluation: EvaluationFiles) -> str | None:
    """How every measure spreads over the images, stain by stain and on the true IHC; None without the table."""
    first = evaluation.per_image
    if first is None:
        return None
    units = {row.name: row.described.unit for row in evaluation.rows}
    panels = []
    for column in first.columns:
        values = {stain: table.numbers(column) for stain, table in evaluation.tables.items()}
        if column == "id" or column.endswith("_real") or not any(np.isfinite(one).any() for one in values.values()):
            continue
        if f"{column}_real" in first:
            values["true IHC"] = first.numbers(f"{column}_real")
        panels.append(charts.SpreadPanel(label(column), units.get(column, ""), values))
    return svg_uri(charts.spreads(panels)) if panels else None
