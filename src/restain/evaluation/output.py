"""Where an evaluation goes: CSV and JSON files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

from restain.evaluation.results import Evaluation, System
from restain.files import write_json, write_text


def write_evaluation(evaluation: Evaluation) -> None:
    """Write the CSV files and, last, ``summary.json`` to ``evaluation.out``, each whole or not at all."""
    out, systems = evaluation.out, evaluation.systems
    write_text(out / "per_image.csv", _csv(evaluation.ids, systems, with_system=len(systems) > 1))
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
