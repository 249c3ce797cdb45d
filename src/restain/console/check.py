"""What ``restain check`` prints."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restain.errors import printable
from restain.progress import screen
from restain.wsi.check.checking import CheckResult, View, all_levels
from restain.wsi.geometry import Size


def print_check(result: CheckResult, console: Console | None = None) -> None:
    """The levels as each reader sees them, what a TIFF states, and in sentences where the readers disagree."""
    console = console or screen()
    table = Table(box=None, header_style="bold")
    table.add_column("level")
    for view in result.views:
        table.add_column(f"{view.reader} {view.version}", justify="right")
    table.add_column("vs finer", justify="right")
    for size in all_levels(result.views):
        step = result.steps.get(size)
        table.add_row(
            str(size), *(_cell(result, view, size) for view in result.views), "" if step is None else f"{step:.1f}"
        )
    table.add_row("pixel size", *(view.scale for view in result.views), "")
    table.add_row("colour profile", *(f"{view.icc} bytes" if view.icc else "none" for view in result.views), "")
    console.print(table)
    if result.differences or result.steps:
        console.print("differences: the mean and, in brackets, the largest, in grey levels", style="dim")
    for name, value in result.tiff_info.items():
        console.print(printable(f"{name}: {value}"), soft_wrap=True)
    for note in result.notes:
        console.print(printable(f"note: {note}"), soft_wrap=True)
    for problem in result.problems:
        console.print(printable(f"problem: {problem}"), soft_wrap=True)
    if result.ok:
        console.print(f"{len(result.views)} readers agree" if len(result.views) > 1 else "one reader, no problem")


def _cell(result: CheckResult, view: View, size: Size) -> str | Text:
    if size not in view.levels:
        return Text("missing", style="red")
    for difference in result.differences:
        if difference.readers[1] == view.reader and difference.size == size:
            return f"{difference.mean:.1f} ({difference.largest})"
    return "reference" if view.reader == result.reference else "not read"
