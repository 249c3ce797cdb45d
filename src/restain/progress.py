"""Progress for a person: a live bar in a terminal, plain lines when the output is piped."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

# File names and names of systems may hold brackets and colons, so no text is markup and none is an emoji.
console = Console(stderr=True, highlight=False, markup=False, emoji=False)


_WIDE = 100  # columns of a terminal from which on a bar is drawn


def counted(count: int, noun: str, plural: str = "") -> str:
    """A number and what it counts: "1 slide", "2 slides"."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def as_time(seconds: float) -> str:
    """Hours, minutes and seconds: 1:02:03."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def screen() -> Console:
    """Where tables go: standard output, as wide as the terminal, or 120 columns where it is piped."""
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)


class ProgressBar:
    """One bar over ``total`` units of work.

    In a terminal it is a live rich bar; elsewhere it prints a plain line at most every ``interval`` seconds, and
    one at the end, so that a log file stays readable.

    Example:
        with ProgressBar("staining", total=len(files), unit="images") as bar:
            for file in files:
                ...
                bar.advance()
    """

    interval = 10.0

    def __init__(self, title: str, total: int, unit: str, done: int = 0, quiet: bool = False) -> None:
        self.title, self.total, self.unit, self.done, self.quiet = title, total, unit, done, quiet
        self.note = ""  # a short text shown behind the bar
        self._first, self._start, self._printed = done, time.monotonic(), 0.0
        self._rich: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> ProgressBar:
        self._start = time.monotonic()
        self._printed = self._start
        if console.is_terminal and not self.quiet:
            columns = (
                # What tells how far the work is comes first and whole; the note takes the room that is left.
                MofNCompleteColumn(table_column=Column(no_wrap=True)),
                TextColumn("{task.percentage:3.0f} %", table_column=Column(no_wrap=True)),
                TimeRemainingColumn(table_column=Column(no_wrap=True)),
                TextColumn("{task.fields[rate]}", table_column=Column(no_wrap=True)),
                TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
            )
            wide = console.width >= _WIDE  # with room for a bar
            title = TextColumn(  # a file name may have brackets
                "{task.description}", markup=False, table_column=Column(no_wrap=True, max_width=None if wide else 24)
            )
            bar = [BarColumn(bar_width=24)] if wide else []
            self._rich = Progress(title, *bar, *columns, console=console, expand=True)
            self._task = self._rich.add_task(self.title, total=self.total, completed=self.done, rate="", note="")
            self._rich.start()
        return self

    def advance(self, count: int = 1) -> None:
        """Report ``count`` more units done."""
        self.done += count
        if self._rich is not None:
            self._rich.update(self._task, completed=self.done, rate=self._rate(), note=self.note)
        elif not self.quiet and self._line_due():
            self._printed = time.monotonic()
            self._print_line()

    def _line_due(self) -> bool:
        return time.monotonic() - self._printed >= self.interval or self.done >= self.total

    def _seconds_per_unit(self) -> float:
        return (time.monotonic() - self._start) / max(1, self.done - self._first)

    def _rate(self) -> str:
        return f"{1 / max(1e-9, self._seconds_per_unit()):.2f} {self.unit}/s"

    def _print_line(self) -> None:
        left = self._seconds_per_unit() * (self.total - self.done)
        share = 100 * self.done / max(1, self.total)
        line = (
            f"{self.title}: {self.done}/{self.total} {self.unit}, {share:.0f} %, {as_time(left)} left, {self._rate()}"
        )
        console.print(f"{line}, {self.note}" if self.note else line, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rich is not None:
            self._rich.stop()
