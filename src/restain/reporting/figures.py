"""The table of figures with its yardsticks, what differs, how values spread, and DAB against the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from restain.reporting import charts
from restain.reporting.evaluation_files import Difference, EvaluationFiles, Figure, MetricRow
from restain.reporting.labels import label, number
from restain.reporting.pictures import svg_uri


@dataclass(frozen=True)
class Cell:
    """One system's figure in a row; ``beats``: a yardstick's mean is at least as good as every virtual stain's."""

    system: str
    figure: Figure | None
    beats: bool
    span: tuple[float, float, float] | None  # low, mean, high in percent of the row's common axis


@dataclass(frozen=True)
class TableRow:
    """A metric and its cells, one a system."""

    metric: MetricRow
    cells: tuple[Cell, ...]

    @property
    def shared(self) -> bool:
        """Whether all systems have the same figure, as with what describes the true IHC alone."""
        return len(self.cells) > 1 and len({cell.figure for cell in self.cells}) == 1

    @property
    def half_width(self) -> float:
        """Half of the first known interval: it sets the digits of the whole row; NaN where there is none."""
        figures = [cell.figure for cell in self.cells if cell.figure and cell.figure.has_interval]
        return (figures[0].high - figures[0].low) / 2 if figures else math.nan


def figures_table(evaluation: EvaluationFiles) -> list[TableRow]:
    """The figures, virtual stains first, then the yardsticks."""
    rows = []
    for metric in evaluation.rows:
        ends = [
            value
            for figure in metric.figures.values()
            for value in (figure.low, figure.mean, figure.high)
            if math.isfinite(value)
        ]
        axis = (min(ends), max(ends)) if ends else (0.0, 0.0)
        cells = tuple(_cell(metric, system, evaluation.stains, axis) for system in evaluation.systems)
        rows.append(TableRow(metric, cells))
    return rows


def _cell(metric: MetricRow, system: str, stains: tuple[str, ...], axis: tuple[float, float]) -> Cell:
    figure = metric.figures.get(system)
    virtual = [metric.figures[stain].mean for stain in stains if stain in metric.figures]
    beats = False
    if figure and virtual and system not in stains:
        better = {"higher": figure.mean >= max(virtual), "lower": figure.mean <= min(virtual)}
        beats = better.get(metric.direction, False)
    span = None
    if figure and axis[1] > axis[0] and math.isfinite(figure.mean):
        ends = [value if math.isfinite(value) else figure.mean for value in (figure.low, figure.mean, figure.high)]
        low, mean, high = (100.0 * (end - axis[0]) / (axis[1] - axis[0]) for end in ends)
        span = (low, mean, high)
    return Cell(system, figure, beats, span)


@dataclass(frozen=True)
class DifferenceRow:
    """One metric and its differences, one a pair of systems; None where a pair has none."""

    metric: MetricRow
    cells: tuple[Difference | None, ...]


def differences_table(evaluation: EvaluationFiles) -> tuple[list[tuple[str, str]], list[DifferenceRow]]:
    """Pairs of systems, and a row a metric."""
    pairs = list(dict.fromkeys((one.first, one.second) for one in evaluation.comparisons))
    found = {(one.metric, one.first, one.second): one for one in evaluation.comparisons}
    rows = [DifferenceRow(row, tuple(found.get((row.name, *pair)) for pair in pairs)) for row in evaluation.rows]
    return pairs, [row for row in rows if any(row.cells)]


@dataclass(frozen=True)
class PublishedRow:
    """One method of the literature; ``cells`` holds (figure, comparable) or None, one a metric."""

    method: str
    protocol: str
    source: str
    cells: tuple[tuple[str, bool] | None, ...]


def published_table(evaluation: EvaluationFiles) -> tuple[list[str], list[PublishedRow]]:
    """Metrics of the literature, and a row a method and source below those of the virtual stains.

    Both are empty where no literature was asked for.
    """
    entries = (evaluation.summary.get("literature") or {}).get("rows", [])
    metrics = list(dict.fromkeys(str(entry["metric"]) for entry in entries))
    own = [_own_row(evaluation, stain, metrics) for stain in evaluation.stains if entries]
    rows: dict[tuple[str, str, str], dict[str, tuple[str, bool]]] = {}
    for entry in entries:
        spread = f" ± {entry['std']:g}" if entry.get("std") else ""
        key = (str(entry["method"]), str(entry["protocol"]), str(entry["source"]))
        rows.setdefault(key, {})[entry["metric"]] = (f"{entry['value']:g}{spread}", bool(entry["comparable"]))
    return metrics, own + [PublishedRow(*key, tuple(map(cells.get, metrics))) for key, cells in rows.items()]


def _own_row(evaluation: EvaluationFiles, stain: str, metrics: list[str]) -> PublishedRow:
    figures = {row.name: row.figures[stain] for row in evaluation.rows if stain in row.figures}
    cells = ((number(figures[metric].mean), True) if metric in figures else None for metric in metrics)
    return PublishedRow(stain, str(evaluation.summary.get("protocol") or ""), "this evaluation", tuple(cells))


def distributions_uri(evaluation: EvaluationFiles) -> str | None:
    """How every measure spreads over the images, stain by stain and on the true IHC; None without the table."""
    first = evaluation.per_image
    if first is None:
        return None
    units = {row.name: row.unit for row in evaluation.rows}
    panels = []
    for column in first.columns:
        values = {stain: table.numbers(column) for stain, table in evaluation.tables.items()}
        if column == "id" or column.endswith("_real") or not any(np.isfinite(one).any() for one in values.values()):
            continue
        if f"{column}_real" in first:
            values["true IHC"] = first.numbers(f"{column}_real")
        panels.append(charts.SpreadPanel(label(column), units.get(column, ""), values))
    return svg_uri(charts.spreads(panels)) if panels else None


def scatter_uri(evaluation: EvaluationFiles, marks: dict[int, str]) -> str | None:
    """DAB of the virtual stains against the true IHC, a point an image; None where the tables have no DAB."""
    units = {row.name: row.unit for row in evaluation.rows}
    wanted = {"dab_mean_od": "DAB mean OD", "dab_positive_area": "DAB positive area"}
    panels = [
        charts.ScatterPanel(
            title if len(evaluation.stains) == 1 else f"{stain}: {title}",
            units.get(name, ""),
            table.numbers(f"{name}_real"),
            table.numbers(name),
            marks,
        )
        for stain, table in evaluation.tables.items()
        for name, title in wanted.items()
        if name in table and f"{name}_real" in table
    ]
    return svg_uri(charts.scatter(panels)) if panels else None
