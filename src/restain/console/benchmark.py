"""A comparison on the screen: its estimate, or its scores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restain.benchmarking.bench_verb import BenchRun, Estimate
from restain.progress import screen
from restain.reporting.labels import number
from restain.reporting.score_sheet import ScoreSheet


def print_bench(run: BenchRun, console: Console | None = None) -> None:
    """Print what a dry run expects, or the scores and where the page is."""
    console = console or screen()
    if run.table is None:
        console.print(_estimates(run.estimates))
        total = sum(one.seconds or 0 for one in run.estimates)
        console.print(f"training: {_duration(total)} one after another; staining and evaluation come on top")
        return
    console.print(_scores(run.table))
    for note in run.table.notes:
        console.print(note)
    console.print(f"page: {run.page}")


def _estimates(estimates: Sequence[Estimate]) -> Table:
    table = Table(title="expected of all seeds together")
    for title in ("system", "steps of one training", "training", "peak memory"):
        table.add_column(title, justify="left" if title == "system" else "right", overflow="fold")
    for one in estimates:
        if one.steps is None or one.seconds is None:
            table.add_row(Text(one.name), Text(one.problem))
        else:
            memory = "–" if one.peak_memory_mb is None else f"{one.peak_memory_mb / 1000:.1f} GB"
            table.add_row(Text(one.name), str(one.steps), _duration(one.seconds), memory)
    return table


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _scores(sheet: ScoreSheet) -> Table:
    """Numbers without intervals, which the files have."""
    table = Table(title=sheet.title, caption="intervals, tests and costs stand in table.md, table.csv and the page")
    table.add_column("system", overflow="fold")
    for column in sheet.columns:
        table.add_column(Text(column.title), justify="right", overflow="fold")
    for row in sheet.rows:
        if row.note and not row.cells:
            table.add_row(Text(row.name), Text(row.note))
            continue
        cells = [row.cells.get(column.name) for column in sheet.columns]
        table.add_row(Text(row.name), *(Text(f"{number(c.value, digits=3)}{c.mark}" if c else "–") for c in cells))
    return table
