"""What ``restain study`` prints, and how its server waits."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restain.errors import printable
from restain.progress import counted, screen
from restain.studies.making import StudyMade
from restain.studies.results import Analysis, Estimate
from restain.studies.serving import StudyServer
from restain.studies.study_files import KEY, steps_of


def print_study(made: StudyMade, console: Console | None = None) -> None:
    """What was decided, and the warnings."""
    console = console or screen()
    study = made.study
    reader = next(iter(study.readers))
    steps = steps_of(study, reader)
    sessions = steps[-1].session + 1
    apart = f", {study.washout_days:g} days apart" if sessions > 1 else ""
    plan = (
        f"{counted(len(study.readers), 'reader')}, {counted(len(steps), 'reading')} each in "
        f"{counted(sessions, 'session')}{apart}"
    )
    console.print(f"{study.title}: {plan}")
    console.print(f"margin {study.margin:g}, training {len(study.training)}, images at {_scale(made)}")
    for warning in made.warnings:
        console.print(Text.assemble(("warning", "yellow"), f": {printable(warning)}"), soft_wrap=True)
    secret = f"{made.folder}: keep {KEY} to yourself; restain study serve does not need it"
    console.print(printable(secret), soft_wrap=True)


def _scale(made: StudyMade) -> str:
    encoding = made.study.encoding
    return f"{encoding.mpp:.4g} µm per pixel" if encoding.scale_known else "the pixels of their files"


def show_study_server(server: StudyServer, console: Console | None = None) -> None:
    """Print the links and how far each reader is, and wait until the user presses Ctrl+C."""
    console = console or screen()
    console.print(f"{server.title}; Ctrl+C ends, answers are saved at once")
    for reader, (done, total) in server.progress().items():
        console.print(f"{reader} ({done} of {total} done): {server.links[reader]}", soft_wrap=True)
    server.wait()


def print_analysis(analysis: Analysis, console: Console | None = None) -> None:
    """The verdict, and the pooled numbers as a table."""
    console = console or screen()
    for warning in analysis.warnings:
        console.print(Text.assemble(("warning", "yellow"), f": {printable(warning)}"), soft_wrap=True)
    table = Table(title=printable(analysis.title), title_justify="left")
    table.add_column("")
    for column in ("value", "95 %", "n"):
        table.add_column(column, justify="right")
    alone = Counter((row.title, row.comparison) for row in analysis.agreement)
    for row in analysis.agreement:
        if row.pooled or alone[row.title, row.comparison] == 1:
            _add(table, f"{row.title}: {row.comparison}", row.kappa or row.icc or row.identical)
    single = len(analysis.readers) == 1
    found = {"2afc": "real image found", "single": "images recognised"}.get(
        analysis.design, f"{analysis.arms[1]} preferred"
    )
    for choice in analysis.choices:
        if choice.pooled or single:
            _add(table, found, choice.rate)
    for rating in analysis.ratings:
        if rating.pooled or single:
            _add(table, f"{rating.title}: {analysis.arms[1]} minus {analysis.arms[0]}", rating.difference)
    console.print(table)
    for one in analysis.noninferiority:
        console.print(printable(f"{one.what}: {one.sentence}"), soft_wrap=True)


def _add(table: Table, title: str, estimate: Estimate | None) -> None:
    if estimate is not None and estimate.value is not None:
        ends = "{:.2f} to {:.2f}".format(*estimate.ci95) if estimate.ci95 else "-"
        table.add_row(printable(title), f"{estimate.value:.2f}", ends, str(estimate.n))
