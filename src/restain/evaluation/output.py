"""Where an evaluation goes: CSV and JSON files, and a table on the screen."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from restain.evaluation.outcome import Evaluation, System
from restain.files import write_json, write_text
from restain.metrics import METRICS, Estimate

_ARROWS = {"higher": "↑", "lower": "↓", "none": ""}


def write_evaluation(evaluation: Evaluation) -> None:
    """Write the CSV files and, last, ``summary.json`` to ``evaluation.out``, each whole or not at all."""
    out = evaluation.out
    write_text(out / "per_image.csv", _csv(evaluation.ids, [evaluation.virtual], with_system=False))
    of_yardsticks = out / "per_image_yardsticks.csv"
    if evaluation.yardsticks:
        write_text(of_yardsticks, _csv(evaluation.ids, evaluation.yardsticks, with_system=True))
    else:
        of_yardsticks.unlink(missing_ok=True)  # of an earlier run with H&E; it would contradict this summary
    write_json(out / "summary.json", evaluation.summary)


def _csv(ids: Sequence[str], systems: Sequence[System], with_system: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", *(["system"] if with_system else []), *systems[0].columns])
    for system in systems:
        for index, name in enumerate(ids):
            cells = (_cell(float(column[index])) for column in system.columns.values())
            writer.writerow([name, *([system.name] if with_system else []), *cells])
    return text.getvalue()


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.8g}"


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the figures as a table: the virtual stain beside the yardsticks, each with its 95 % interval."""
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    systems = (evaluation.virtual, *evaluation.yardsticks)
    summary = evaluation.summary
    table = Table(
        title=f"{summary['n']} images, {summary['resolution']}, protocol {summary['protocol']}",
        caption="mean over images (or correlation over the set) with 95 % bootstrap interval; ↑ ↓ which is better",
    )
    table.add_column("metric")
    for system in systems:
        table.add_column(system.name, justify="right")
    for label, cells in _table_rows(systems):
        table.add_row(label, *cells)
    console.print(table)
    for line in _missing_lines(summary["not_computed"]):
        console.print(line, markup=False)


def _missing_lines(not_computed: Mapping[str, str]) -> Iterator[str]:
    values: dict[str, list[str]] = {}
    intervals: Counter[str] = Counter()
    for name, reason in not_computed.items():
        if name.endswith(" ci95"):
            intervals[reason] += 1
        else:
            values.setdefault(reason, []).append(name)
    for reason, names in values.items():
        yield f"not computed: {', '.join(names)}: {reason}"
    for reason, count in intervals.items():
        yield f"without interval: {count} figures: {reason}"


def _table_rows(systems: Sequence[System]) -> Iterator[tuple[str, list[str]]]:
    for metric in METRICS:
        found = [system.estimates.get(metric.name) for system in systems]
        if any(found):
            label = " ".join(part for part in (metric.name, _ARROWS[metric.direction], metric.unit) if part)
            yield label, [_figure(one) if one else "–" for one in found]


def _figure(found: Estimate) -> str:
    if found.ci95 is None:
        return _digits(found.value)
    return f"{_digits(found.value)} ({_digits(found.ci95[0])} to {_digits(found.ci95[1])})"


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
