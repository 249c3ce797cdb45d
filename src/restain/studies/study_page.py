"""The page about a study that was read: one self-contained HTML file, its plots drawn as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from restain.studies.questions import MARKERS
from restain.studies.results import Agreement, Analysis, Estimate, Rating

_WIDTH = 240.0  # of an interval's drawing, in its own units
_DESIGNS = {
    "score": "blinded scores of single images, each case once in each of two sessions",
    "quality": "blinded ratings of single images, each case once in each of two sessions",
    "2afc": "two images side by side: which one is real? (two-alternative forced choice)",
    "single": "blinded single images, each case once in each of two sessions: real or virtual?",
    "preference": "two images side by side: which one is preferred?",
}


@dataclass(frozen=True)
class Whisker:
    """An interval drawn on a scale: places from 0 to 240."""

    low: float
    value: float
    high: float
    marks: tuple[tuple[float, str], ...]  # lines across, and their words


def whisker(estimate: Estimate | None, low: float, high: float, marks: Sequence[float] = ()) -> Whisker | None:
    """An estimate on a scale from ``low`` to ``high``; what lies beyond ends at the edge. None without a value."""
    if estimate is None or estimate.value is None:
        return None

    def place(value: float) -> float:
        return _WIDTH * (min(max(value, low), high) - low) / (high - low)

    ends = estimate.ci95 or (estimate.value, estimate.value)
    lines = tuple((place(mark), f"{mark:g}") for mark in marks)
    return Whisker(place(ends[0]), place(estimate.value), place(ends[1]), lines)


def render_page(analysis: Analysis) -> str:
    """The page as HTML."""
    pages = Environment(
        loader=ChoiceLoader([PackageLoader("restain.studies", "."), PackageLoader("restain.reporting", ".")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.globals.update(whisker=whisker, estimate=estimate_text, interval=interval_text, p_text=p_text, shade=shade)
    spread = max((abs(end) for row in analysis.ratings for end in (row.difference.ci95 or ())), default=1.0)
    return pages.get_template("study_page.html.j2").render(
        analysis=analysis,
        marker=MARKERS.get(analysis.marker, analysis.marker),  # type: ignore[call-overload]
        design=_DESIGNS[analysis.design],
        date=datetime.now().astimezone(),
        comparisons=_by_comparison(analysis.agreement),
        spread=max(spread, 0.1) * 1.05,
        bars=[(row, _bars(row)) for row in analysis.ratings if row.first_counts],
    )


def _by_comparison(rows: Iterable[Agreement]) -> list[tuple[str, str, list[Agreement]]]:
    """(title of the measure, comparison, rows with the pool first) in the order of the analysis."""
    groups: dict[tuple[str, str], list[Agreement]] = {}
    for row in rows:
        groups.setdefault((row.title, row.comparison), []).append(row)
    return [(title, what, sorted(of, key=lambda row: not row.pooled)) for (title, what), of in groups.items()]


def _bars(row: Rating) -> list[list[tuple[float, float, int]]]:
    """Shares of the classes of both arms as (left, width, readings) in percent of a bar."""
    bars = []
    for counts in (row.first_counts, row.second_counts):
        total, left, bar = sum(counts) or 1, 0.0, []
        for count in counts:
            width = 100 * count / total
            bar.append((left, width, count))
            left += width
        bars.append(bar)
    return bars


def estimate_text(estimate: Estimate | None, digits: int = 2, *, percent: bool = False) -> str:
    """The value, or a dash."""
    if estimate is None or estimate.value is None:
        return "–"
    return f"{100 * estimate.value:.0f} %" if percent else f"{estimate.value:.{digits}f}"


def interval_text(estimate: Estimate | None, digits: int = 2, *, percent: bool = False) -> str:
    """The interval, or why there is none."""
    if estimate is None:
        return ""
    if estimate.ci95 is None:
        return estimate.note
    low, high = estimate.ci95
    return f"{100 * low:.0f} to {100 * high:.0f} %" if percent else f"{low:.{digits}f} to {high:.{digits}f}"


def p_text(p: float | None) -> str:
    """A p value as papers print it."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def shade(count: int, row: Sequence[int]) -> float:
    """How dark a cell is, 0 to 1: its share of its row."""
    return count / max(1, sum(row))
