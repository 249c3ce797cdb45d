"""Plots that stand in the page as SVG of its own, so that every point says which field it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from restain.reporting.evaluation_files import EvaluationFiles
from restain.reporting.readings import HER2, Reading, positivity, readings
from restain.reporting.tables import Numbers, Table
from restain.reporting.usability import limits_of_agreement

WIDTH, HEIGHT = 420.0, 340.0  # of the drawing
LEFT, RIGHT, TOP, BOTTOM = 52.0, 12.0, 14.0, 44.0  # margins
_NAMED = 3  # points whose names are written out
_FEWEST = 3  # fields for a plot


@dataclass(frozen=True)
class Point:
    """A field; ``letter`` where it is shown on the page, ``name`` where it is written out, ``title`` on hovering."""

    x: float
    y: float
    title: str
    letter: str = ""
    name: str = ""


@dataclass(frozen=True)
class Line:
    """A straight line with a label at its right end."""

    ends: tuple[float, float, float, float]  # x1, y1, x2, y2
    kind: str  # class of the style sheet
    label: str = ""


@dataclass(frozen=True)
class Plot:
    """A drawing in pixels of ``WIDTH`` x ``HEIGHT``."""

    title: str
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    points: tuple[Point, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Axis:
    """One direction of a plot."""

    low: float
    high: float
    start: float  # pixel of ``low``
    end: float  # pixel of ``high``

    def place(self, value: float) -> float:
        """The pixel of a value."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """About five round values with their pixels."""
        raw = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
        values = np.arange(math.ceil(self.low / step), math.floor(self.high / step) + 1) * step
        return tuple((self.place(float(value)), f"{value:.6g}".replace("-", "−")) for value in values)


def agreement_plots(evaluation: EvaluationFiles, marks: Mapping[int, str]) -> list[tuple[Plot, Plot]]:
    """Virtual against true, and Bland and Altman's plot, of the readings; of positivity alone for several stains.

    Args:
        evaluation: with its table of images.
        marks: row of the table to the letter of a field on the page.
    """
    found = [one for one in readings(evaluation) if one != HER2]
    if len(evaluation.tables) > 1:
        found = [one for one in found if one == positivity(evaluation)]
    plots = []
    for stain, table in evaluation.tables.items():
        of = f"{stain}: " if len(evaluation.tables) > 1 else ""
        for reading in found:
            pair = _pair(reading, table, marks, of)
            plots += [pair] if pair else []
    return plots


def _pair(reading: Reading, table: Table, marks: Mapping[int, str], of: str) -> tuple[Plot, Plot] | None:
    virtual, true = reading.virtual(table), reading.true(table)
    rows = [int(row) for row in np.flatnonzero(np.isfinite(virtual) & np.isfinite(true))]
    if len(rows) < _FEWEST:
        return None
    worst = set(sorted(rows, key=lambda row: -abs(virtual[row] - true[row]))[:_NAMED])
    unit = f" ({reading.unit})" if reading.unit else ""

    def points(x: Callable[[int], float], y: Callable[[int], float]) -> tuple[Point, ...]:
        names = table.columns["id"]
        return tuple(
            Point(
                x(row),
                y(row),
                f"{names[row]}: virtual {reading.text(virtual[row])}, true {reading.text(true[row])}",
                marks.get(row, ""),
                names[row].rsplit("/", 1)[-1] if row in worst else "",
            )
            for row in rows
        )

    both = np.concatenate([virtual[rows], true[rows]])
    across, up = _axes(both, both)
    corner = (across.place(across.low), up.place(up.low), across.place(across.high), up.place(up.high))
    scatter = Plot(
        f"{of}{reading.title}, {_correlation(virtual[rows], true[rows])}",
        f"true IHC{unit}",
        f"virtual stain{unit}",
        across.ticks(),
        up.ticks(),
        points(lambda row: across.place(true[row]), lambda row: up.place(virtual[row])),
        (Line(corner, "identity"),),
    )
    means, differences = (virtual + true) / 2, virtual - true
    bias, low, high = limits_of_agreement(virtual[rows], true[rows])
    along, over = _axes(means[rows], np.array([*differences[rows], low, high, 0.0]))
    bland = Plot(
        f"{of}{reading.title}, difference by mean (Bland and Altman)",
        f"mean of virtual and true{unit}",
        f"virtual − true{f' ({reading.points})' if reading.points else ''}",
        along.ticks(),
        over.ticks(),
        points(lambda row: along.place(means[row]), lambda row: over.place(differences[row])),
        (
            _level(over, 0.0, "zero"),
            _level(over, bias, "bias", f"bias {reading.difference(bias)}"),
            _level(over, low, "limit", reading.difference(low)),
            _level(over, high, "limit", reading.difference(high)),
        ),
    )
    return scatter, bland


def _axes(x: Numbers, y: Numbers) -> tuple[Axis, Axis]:
    return (
        Axis(*_range(x), LEFT, WIDTH - RIGHT),
        Axis(*_range(y), HEIGHT - BOTTOM, TOP),
    )


def _range(values: Numbers) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return low - margin, high + margin


def _level(axis: Axis, value: float, kind: str, label: str = "") -> Line:
    return Line((LEFT, axis.place(value), WIDTH - RIGHT, axis.place(value)), kind, label)


def _correlation(x: Numbers, y: Numbers) -> str:
    """Pearson's r and n in words; not defined where one side is constant."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return f"r not defined (n = {len(x)})"
    return f"r = {np.corrcoef(x, y)[0, 1]:.2f} (n = {len(x)})".replace("-", "−")


@dataclass(frozen=True)
class Confusion:
    """How many fields have which HER2 category, true by row and virtual by column."""

    stain: str
    counts: tuple[tuple[int, ...], ...]  # [true][virtual], 4 x 4

    @property
    def total(self) -> int:
        """Fields with both categories."""
        return sum(map(sum, self.counts))

    @property
    def equal(self) -> int:
        """Fields whose two categories are equal."""
        return sum(self.counts[band][band] for band in range(4))


def her2_confusions(evaluation: EvaluationFiles) -> list[Confusion]:
    """A table for each virtual stain of a membrane marker."""
    if HER2 not in readings(evaluation):
        return []
    confusions = []
    for stain, table in evaluation.tables.items():
        virtual, true = HER2.virtual(table), HER2.true(table)
        known = np.isfinite(virtual) & np.isfinite(true)
        bands = np.clip(np.stack([true[known], virtual[known]]).round().astype(int), 0, 3)
        counts = np.zeros((4, 4), dtype=int)
        np.add.at(counts, tuple(bands), 1)
        confusions.append(Confusion(stain, tuple(tuple(int(count) for count in row) for row in counts)))
    return confusions
