"""Charts as SVG text: how measures spread over the images, and the curves of a training run."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from restain.reporting.tables import Numbers, Table

INK, QUIET, RULE, BROWN, VIOLET = "#1f1b24", "#6f6a75", "#d9d5dd", "#8a5a2b", "#4b3f8f"
SYSTEMS = (BROWN, "#b8467f", "#4b6f9f", VIOLET, "#3f7d5a", "#9a5b00")  # as the style sheet colours the table
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "text.parse_math": False,  # a name with dollars is a name
    "axes.edgecolor": QUIET,
    "axes.labelcolor": QUIET,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "figure.constrained_layout.h_pad": 0.1,
    "figure.constrained_layout.w_pad": 0.1,
    "svg.fonttype": "none",
    "svg.hashsalt": "restain",
}
COUNTERS = ("step", "epoch", "progress")
OWN_PANELS = {
    "horizon": "horizon T (diffusion steps)",
    "lr": "learning rate",
    "images_per_second": "images / s",
}


@dataclass(frozen=True)
class SpreadPanel:
    """One measure over the images, a line a system from top to bottom; NaN and infinities are left out."""

    title: str
    unit: str
    values: dict[str, Numbers]


@dataclass(frozen=True)
class LinesPanel:
    """One score over the steps: for each system one line a training, ``(steps, values)``."""

    title: str
    lines: dict[str, list[tuple[Numbers, Numbers]]]


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Figure, list[str]]]:
    """A figure in the house style; its SVG text is appended to the list on leaving the block."""
    with matplotlib.rc_context(STYLE):
        figure, result = Figure(figsize=(width, height), layout="constrained"), list[str]()
        FigureCanvasAgg(figure)
        yield figure, result
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    # matplotlib can only name fonts it measured with; the reader's own interface font sits better in the page
    result.append(re.sub(r"'DejaVu Sans'(, sans-serif)?", FONTS, buffer.getvalue()))


def spreads(panels: list[SpreadPanel]) -> str:
    """How measures spread over the images: a point an image, the middle half as a bar, the median as a stroke."""
    columns = min(4, len(panels))
    rows = math.ceil(len(panels) / columns)
    lines = max(len(panel.values) for panel in panels)
    with _figure(2.85 * columns, (0.75 + 0.3 * lines) * rows) as (figure, result):
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            _spread_panel(axes, panel)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
    return result[0]


def _spread_panel(axes: Axes, panel: SpreadPanel) -> None:
    jitter = np.random.default_rng(0)  # of the drawing alone: points that coincide can be told apart
    for line, (name, numbers) in enumerate(panel.values.items()):
        values = numbers[np.isfinite(numbers)]
        if not len(values):
            continue
        colour = QUIET if name == "true IHC" else SYSTEMS[line % len(SYSTEMS)]
        heights = line + jitter.uniform(-0.22, 0.22, len(values))
        axes.scatter(values, heights, s=7, color=colour, alpha=0.4, linewidths=0, rasterized=len(values) > 500)
        low, median, high = np.percentile(values, [25, 50, 75])
        axes.plot([low, high], [line, line], color=colour, linewidth=5, alpha=0.3, solid_capstyle="butt")
        axes.plot([median, median], [line - 0.32, line + 0.32], color=colour, linewidth=1.8)
    axes.set_yticks(range(len(panel.values)), list(panel.values))
    axes.set_ylim(len(panel.values) - 0.5, -0.5)
    axes.set_title(f"{panel.title} ({panel.unit})" if panel.unit else panel.title)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(visible=False, axis="y")


def lines(panels: list[LinesPanel]) -> str:
    """Scores of several systems over the steps of their trainings, one panel a score, one colour a system."""
    columns = min(3, len(panels))
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    colours = {name: matplotlib.colormaps["tab20"](place % 20) for place, name in enumerate(names)}
    rows = math.ceil(len(panels) / columns)
    with _figure(3.8 * columns, 2.7 * rows + 0.24 * math.ceil(len(names) / 4)) as (figure, result):
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            for name, trainings in panel.lines.items():
                for place, (steps, values) in enumerate(trainings):
                    title = name if place == 0 else None
                    axes.plot(steps, values, color=colours[name], label=title, linewidth=1.2, marker="o", markersize=2)
            axes.set_title(panel.title)
            axes.set_xlabel("step")
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        handles = {
            title: handle for axes in grid for handle, title in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    return result[0]


def running_mean(values: Numbers, window: int) -> Numbers:
    """Centred mean over ``window`` values, shorter at the ends; NaN and infinities are left out of it."""
    window = max(1, min(window, len(values)))
    known = np.isfinite(values)
    box = np.ones(window)
    sums = np.convolve(np.where(known, values, 0.0), box, mode="same")
    counts = np.convolve(known.astype(float), box, mode="same").round()
    return np.asarray(np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0))


def curves(log: Table) -> str | None:
    """Small multiples over the steps of a log, one panel a column; None where there is nothing to draw."""
    names = [name for name in log.columns if name not in COUNTERS and np.isfinite(log.numbers(name)).any()]
    names = [name for name in names if name not in OWN_PANELS] + [name for name in OWN_PANELS if name in names]
    if not names:
        return None
    steps = log.numbers("step")
    if not np.isfinite(steps).all():
        steps = np.arange(1, len(log) + 1, dtype=np.float64)
    columns = min(4, len(names))
    rows = math.ceil(len(names) / columns)
    with _figure(2.85 * columns, 1.95 * rows + 0.2) as (figure, result):
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
        for axes, name in zip(grid, names, strict=False):
            _curve(axes, steps, log.numbers(name), name)
        for position, axes in enumerate(grid):
            axes.set_visible(position < len(names))
            if position + columns >= len(names):  # nothing below it: this panel carries the axis
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("step")
    return result[0]


def _curve(axes: Axes, steps: Numbers, values: Numbers, name: str) -> None:
    raw = np.where(np.isfinite(values), values, np.nan)
    few = len(values) < 2
    if name in ("horizon", "lr"):  # settings, not measurements: drawn as they were
        axes.step(steps, raw, where="post", color=BROWN, linewidth=1.4, marker="o" if few else "", markersize=3)
    else:
        axes.plot(steps, raw, color=VIOLET, alpha=0.22, linewidth=0.7, marker="o" if few else "", markersize=3)
        axes.plot(steps, running_mean(values, max(5, len(values) // 25)), color=VIOLET, linewidth=1.5)
        low, high = np.nanpercentile(raw, [0.5, 99.5])
        if high > low:
            axes.set_ylim(low - 0.08 * (high - low), high + 0.08 * (high - low))
    axes.set_title(OWN_PANELS.get(name, name))
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
