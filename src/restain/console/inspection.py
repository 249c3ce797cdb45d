"""The verdict on a data set as a table on the screen."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restain.data.faults import some
from restain.data.inspection import Inspection, summarise
from restain.errors import printable
from restain.progress import screen


def print_inspection(inspection: Inspection, console: Console | None = None, written: bool = False) -> None:
    """Show the verdict as a table with the errors and warnings below it.

    Args:
        inspection: the verdict.
        console: where it goes; by default to standard output.
        written: whether there is an ``inspection.json`` that holds what is too long for the screen.
    """
    console = console or screen()
    summary = summarise(inspection)
    console.print(Text(printable(f"{summary['root']}: layout {summary['layout']}")), soft_wrap=True)
    table = Table()
    for column in ("split", "pairs", "H&E\nonly", "IHC\nonly", "broken", "groups"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for column in ("height x width\n(images)", "shift in px\n(90 %)", "conf"):
        table.add_column(column)
    for split, values in summary["splits"].items():
        counts = [values[key] for key in ("pairs", "source_only", "target_only", "unreadable", "groups")]
        table.add_row(split, *map(str, counts), _show_sizes(values), *_show_alignment(values["alignment"]))
    console.print(table)
    for title, style, lines in (
        ("error", "red", inspection.errors),
        ("warning", "yellow", inspection.warnings),
    ):
        for line in lines[:20]:
            console.print(Text.assemble((title, style), f": {printable(line)}"), soft_wrap=True)
        if len(lines) > 20:
            rest = " in inspection.json" if written else "; --out DIR writes them all"
            console.print(Text.assemble((title, style), f": {len(lines) - 20} more{rest}"))
    console.print("Training can start." if inspection.can_train else "Training cannot start.")


def _show_sizes(values: dict[str, Any]) -> str:
    sizes = list(values["sizes_height_x_width"].items())
    return some((f"{size} ({count})" for size, count in sizes), 3)


def _show_alignment(values: dict[str, Any] | None) -> tuple[str, str]:
    if not values:
        return "-", "-"
    if values["shift_px_median"] is None:
        return "not found", f"{values['confidence_median']:.2f}"
    shift = f"{values['shift_px_median']:.1f} ({values['shift_px_p90']:.1f})"
    return shift, f"{values['confidence_median']:.2f}"
