"""Scores of systems as a table for a paper: Markdown, CSV and LaTeX from one description; imports no torch."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from restain.reporting.labels import number

HEADLINE = (  # the columns where no metrics were asked for
    "ssim",
    "psnr",
    "lpips_alex",
    "fid",
    "kid",
    "dab_mean_od_error",
    "dab_positive_area_error",
    "dab_pearson_r",
    "dab_grid_r",
    "r_pathology",
)
_ARROWS = {"higher": "↑", "lower": "↓", "none": ""}
_LATEX_ARROWS = {"higher": r" $\uparrow$", "lower": r" $\downarrow$", "none": ""}
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "∞": r"$\infty$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "–": "--",
    "\u2009": r"\,",
    "µ": r"\textmu{}",
    "×": r"$\times$",
    "⁻": r"$^{-}$",
    "²": r"$^{2}$",
    "³": r"$^{3}$",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
}


@dataclass(frozen=True, kw_only=True)
class SheetColumn:
    """One metric, or one kind of cost."""

    name: str  # in CSV
    title: str
    direction: Literal["higher", "lower", "none"] = "none"  # which is better


@dataclass(frozen=True, kw_only=True)
class SheetCell:
    """A number, with what is known of its certainty."""

    value: float
    spread: float | None = None  # standard deviation, over trainings or images
    interval: tuple[float, float] | None = None  # 95 %, over images
    p: float | None = None  # of its difference from the first system, corrected
    mark: str = ""  # behind the number, explained in a note
    whole: bool = False  # a count


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """One system; ``ranked``: whether its numbers compete for the best and the second best of a column."""

    name: str
    cells: Mapping[str, SheetCell] = field(default_factory=dict)  # by the column's name
    ranked: bool = True
    section: str = ""  # rows of one section stand together under its name
    note: str = ""  # in place of numbers, such as why there are none


@dataclass(frozen=True, kw_only=True)
class ScoreSheet:
    """Rows of systems under columns of metrics."""

    title: str
    columns: Sequence[SheetColumn]
    rows: Sequence[SheetRow]
    notes: Sequence[str] = ()

    def places(self, column: SheetColumn) -> dict[str, int]:
        """Names of the best (1) and the second best (2) ranked rows of a column; ties share a place."""
        if column.direction == "none":
            return {}
        shown = {
            row.name: cell.value
            for row in self.rows
            if row.ranked and (cell := row.cells.get(column.name)) and math.isfinite(cell.value)
        }
        if len(shown) < 2:
            return {}
        order = sorted(set(shown.values()), reverse=column.direction == "higher")[:2]
        return {name: order.index(value) + 1 for name, value in shown.items() if value in order}


def to_markdown(sheet: ScoreSheet) -> str:
    """A Markdown table with its title and notes; the best of a column is bold, the second best underlined."""
    titles = [f"{column.title} {_ARROWS[column.direction]}".strip() for column in sheet.columns] or ["state"]
    lines = [f"**{sheet.title}**", "", "| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    places = {column.name: sheet.places(column) for column in sheet.columns}
    for section, rows in _sections(sheet):
        if section:
            lines.append(f"| *{_md(section)}* |" + " |" * len(titles))
        for row in rows:
            if row.note and not row.cells:
                lines.append(f"| {_md(row.name)} | {_md(row.note)} |" + " |" * (len(titles) - 1))
                continue
            cells = []
            for column in sheet.columns:
                text = _md(cell_text(row.cells.get(column.name)))
                place = places[column.name].get(row.name) if row.ranked else None
                cells.append(f"**{text}**" if place == 1 else f"<u>{text}</u>" if place == 2 else text)
            lines.append(f"| {_md(row.name)} | " + " | ".join(cells) + " |")
    if sheet.notes:
        lines += ["", *(f"{note}  " for note in sheet.notes)]
    return "\n".join(line.rstrip(" ") if line == "" else line for line in lines) + "\n"


def to_latex(sheet: ScoreSheet) -> str:
    """A ``table`` for LaTeX, which needs the package booktabs; the notes stand in its caption."""
    titles = [latex_text(column.title) + _LATEX_ARROWS[column.direction] for column in sheet.columns] or ["state"]
    width = len(titles) + 1
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\caption{" + latex_text(" ".join([f"{sheet.title}.", *sheet.notes])) + "}",
        r"\begin{tabular}{l" + "r" * len(titles) + "}",
        r"\toprule",
        " & ".join(["", *titles]) + r" \\",
        r"\midrule",
    ]
    places = {column.name: sheet.places(column) for column in sheet.columns}
    for count, (section, rows) in enumerate(_sections(sheet)):
        if section:
            lines += [r"\midrule"] if count else []
            lines.append(rf"\multicolumn{{{width}}}{{l}}{{\emph{{{latex_text(section)}}}}} \\")
        for row in rows:
            if row.note and not row.cells:
                lines.append(rf"{latex_text(row.name)} & \multicolumn{{{width - 1}}}{{l}}{{{latex_text(row.note)}}} \\")
                continue
            cells = []
            for column in sheet.columns:
                text = latex_text(cell_text(row.cells.get(column.name)))
                place = places[column.name].get(row.name) if row.ranked else None
                cells.append(rf"\textbf{{{text}}}" if place == 1 else rf"\underline{{{text}}}" if place == 2 else text)
            lines.append(" & ".join([latex_text(row.name), *cells]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\end{table}"]
    return "\n".join(lines) + "\n"


def to_csv(sheet: ScoreSheet) -> str:
    """A row a system and plain numbers: value, ``_sd``, ``_low``, ``_high`` and ``_p`` where any row has them."""
    parts = {"": "value", "_sd": "spread", "_low": "low", "_high": "high", "_p": "p"}
    filled = [
        (column, ending)
        for column in sheet.columns
        for ending, part in parts.items()
        if any(_part(row.cells.get(column.name), part) is not None for row in sheet.rows)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["system", "section", *(f"{column.name}{ending}" for column, ending in filled), "note"])
    for row in sheet.rows:
        values = (_part(row.cells.get(column.name), parts[ending]) for column, ending in filled)
        writer.writerow([row.name, row.section, *("" if v is None else f"{v:.8g}" for v in values), row.note])
    return text.getvalue()


def cell_text(cell: SheetCell | None) -> str:
    """A number, its spread over trainings, its interval over images, and its mark: ``0.51 ± 0.01 [0.49, 0.53]†``."""
    if cell is None:
        return "–"
    if cell.whole:
        return f"{cell.value:,.0f}{cell.mark}".replace(",", "\u2009")
    half = (cell.interval[1] - cell.interval[0]) / 2 if cell.interval else cell.spread
    half = math.nan if half is None else half
    text = number(cell.value, half)
    if cell.spread is not None:
        text += f" ± {number(cell.spread, half)}"
    if cell.interval is not None:
        text += f" [{number(cell.interval[0], half)}, {number(cell.interval[1], half)}]"
    return text + cell.mark


def latex_text(text: str) -> str:
    """Plain text as LaTeX shows it."""
    return "".join(_LATEX.get(character, character) for character in text)


def _md(text: str) -> str:
    return text.replace("|", "\\|")


def _part(cell: SheetCell | None, part: str) -> float | None:
    if cell is None:
        return None
    if part in ("low", "high"):
        return cell.interval[part == "high"] if cell.interval else None
    value: float | None = getattr(cell, part)
    return value


def _sections(sheet: ScoreSheet) -> Iterator[tuple[str, list[SheetRow]]]:
    for section in dict.fromkeys(row.section for row in sheet.rows):
        yield section, [row for row in sheet.rows if row.section == section]
