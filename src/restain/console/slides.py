"""What ``restain slide`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from restain.errors import printable
from restain.progress import counted, screen
from restain.slides.record import listed_name
from restain.slides.run.batch import SlideRun
from restain.slides.run.estimate import DryRun

_SHOWN = 5  # names of ignored files


def print_run(run: SlideRun, console: Console | None = None) -> None:
    """Print a table of the slides, and a sentence for each that failed or warned."""
    console = console or screen()
    table = Table(title=f"{counted(len(run.records), 'slide')} in {printable(str(run.out))}")
    for heading in ("slide", "status", "seconds", "Mpx", "Mpx/s", "tissue, mm²", "seam score"):
        table.add_column(heading, justify="left" if heading in ("slide", "status") else "right")
    names = [listed_name(record.slide, record.output, run.out) for record in run.records]
    for name, record in zip(names, run.records, strict=True):
        table.add_row(
            printable(name),
            record.status,
            *(
                "–" if value is None else f"{value:.3g}"
                for value in (record.seconds, record.megapixels, record.rate, record.tissue_mm2, record.seam_score)
            ),
        )
    console.print(table)
    for name, record in zip(names, run.records, strict=True):
        _print_sentences(console, name, record.slide, record.warnings, record.error)
    for line in _ignored_line(run.ignored):
        console.print(line, soft_wrap=True)


def print_estimates(run: DryRun, console: Console | None = None) -> None:
    """Print one line per slide, and the sum."""
    console = console or screen()
    table = Table(title=f"{counted(len(run.estimates), 'slide')}, not stained")
    for heading in ("slide", "output, px", "tiles", "tissue, mm²", "memory, GB", "time, min", "file, MB"):
        table.add_column(heading, justify="left" if heading == "slide" else "right")
    names = [listed_name(estimate.slide, estimate.target, run.out) for estimate in run.estimates]
    for name, estimate in zip(names, run.estimates, strict=True):
        if estimate.error:
            table.add_row(printable(name), "refused", *("–" for _ in range(5)))
            continue
        table.add_row(
            printable(name),
            str(estimate.output),
            f"{estimate.tiles} of {estimate.tiles_in_all}",
            f"{estimate.tissue_mm2:.3g}",
            "–" if estimate.memory is None else f"{estimate.memory / 1e9:.2f}",
            f"{estimate.seconds / 60:.1f}",
            f"{estimate.file_size / 1e6:.1f}",
        )
    table.add_section()
    minutes = sum(estimate.seconds for estimate in run.estimates) / 60
    megabytes = sum(estimate.file_size for estimate in run.estimates) / 1e6
    table.add_row("all", "", "", "", "", f"{minutes:.1f}", f"{megabytes:.1f}")
    console.print(table)
    for name, estimate in zip(names, run.estimates, strict=True):
        _print_sentences(console, name, str(estimate.slide), estimate.warnings, estimate.error)
    for line in _ignored_line(run.ignored):
        console.print(line, soft_wrap=True)


def _print_sentences(console: Console, name: str, slide: str, warnings: Sequence[str], error: str) -> None:
    for sentence in (*warnings, *([error] if error else [])):
        told = sentence if sentence.startswith(slide) else f"{name}: {sentence}"
        console.print(printable(told), soft_wrap=True)


def _ignored_line(ignored: Sequence[Path]) -> Iterator[str]:
    if ignored:
        names = ", ".join(printable(path.name) for path in ignored[:_SHOWN])
        more = f" and {len(ignored) - _SHOWN} more" if len(ignored) > _SHOWN else ""
        yield f"ignored, not slides by their names: {names}{more}"
