"""The table of figures with its yardsticks, and DAB against the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

from restain.reporting import charts
from restain.reporting.evaluation_files import VIRTUAL, EvaluationFiles, Figure, MetricRow
from restain.reporting.pictures import svg_uri


@dataclass(frozen=True)
class Cell:
    """One system's figure in a row; ``beats``: a yardstick's mean is at least as good as the virtual one's."""

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
    """The figures, virtual stain first, then the yardsticks."""
    rows = []
    for metric in evaluation.rows:
        ends = [
            value
            for figure in metric.figures.values()
            for value in (figure.low, figure.mean, figure.high)
            if math.isfinite(value)
        ]
        axis = (min(ends), max(ends)) if ends else (0.0, 0.0)
        cells = tuple(_cell(metric, system, axis) for system in evaluation.systems)
        rows.append(TableRow(metric, cells))
    return rows


def _cell(metric: MetricRow, system: str, axis: tuple[float, float]) -> Cell:
    figure, virtual = metric.figures.get(system), metric.figures.get(VIRTUAL)
    beats = False
    if figure and virtual and system != VIRTUAL:
        better = {"higher": figure.mean >= virtual.mean, "lower": figure.mean <= virtual.mean}
        beats = better.get(metric.direction, False)
    span = None
    if figure and axis[1] > axis[0] and math.isfinite(figure.mean):
        ends = [value if math.isfinite(value) else figure.mean for value in (figure.low, figure.mean, figure.high)]
        low, mean, high = (100.0 * (end - axis[0]) / (axis[1] - axis[0]) for end in ends)
        span = (low, mean, high)
    return Cell(system, figure, beats, span)


def scatter_uri(evaluation: EvaluationFiles, marks: dict[int, str]) -> str | None:
    """DAB of the virtual stain against the true IHC, a point an image; None where the table has no DAB."""
    table = evaluation.per_image
    if table is None:
        return None
    units = {row.name: row.unit for row in evaluation.rows}
    wanted = {"dab_mean_od": "DAB mean OD", "dab_positive_area": "DAB positive area"}
    panels = [
        charts.ScatterPanel(title, units.get(name, ""), table.numbers(f"{name}_real"), table.numbers(name), marks)
        for name, title in wanted.items()
        if name in table and f"{name}_real" in table
    ]
    return svg_uri(charts.scatter(panels)) if panels else None
