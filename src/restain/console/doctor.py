"""What the doctor found, as a table on the screen."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restain.diagnosis import Finding
from restain.progress import screen


def print_findings(findings: list[Finding], console: Console | None = None) -> None:
    """The findings as a table on screen."""
    table = Table("", "", "", box=None, show_header=False)
    for finding in findings:
        mark = Text("ok", "green") if finding.ok else Text("--", "yellow")
        table.add_row(mark, finding.what, f"{finding.found}  {finding.advice}".rstrip())
    (console or screen()).print(table)
