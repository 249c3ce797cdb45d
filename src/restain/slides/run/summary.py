"""What is written about a batch: ``summary.csv``, ``summary.json``, ``summary.html`` and a script for QuPath."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from restain.files import write_json, write_text
from restain.slides.record import BatchSummary, SlideRecord
from restain.slides.run.job import SUFFIX
from restain.slides.run.qupath import qupath_script

FILES = ("summary.json", "summary.csv", "summary.html", "qupath.groovy")


def write_summary(out: Path, records: Sequence[SlideRecord], stain: str | None, weights: str) -> None:
    """Write the four files, each whole or not at all.

    Args:
        out: folder of the results.
        records: of all slides so far.
        stain: name of the marker.
        weights: SHA-256 of the stainer's weights.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, SlideRecord.columns(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.row() for record in records)
    write_json(out / "summary.json", BatchSummary(slides=tuple(records)).model_dump(mode="json"))
    write_text(out / "summary.csv", text.getvalue())
    write_text(out / "summary.html", _page(out, records, stain, weights))
    write_text(out / "qupath.groovy", qupath_script(records))


def _page(out: Path, records: Sequence[SlideRecord], stain: str | None, weights: str) -> str:
    pages = Environment(
        loader=PackageLoader("restain.slides.run", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = sorted(Counter(record.status for record in records).items())
    slides = [_entry(out, record) for record in records]
    page = pages.get_template("summary.html.j2")
    return page.render(stain=stain, weights=weights[:12], counts=counts, slides=slides)


def _entry(out: Path, record: SlideRecord) -> dict[str, Any]:
    target = Path(record.output)
    preview = target.with_name(target.name.removesuffix(SUFFIX) + ".preview.png")
    finished = record.status in ("stained", "skipped") and preview.is_file()
    relative = Path(os.path.relpath(preview, out)).as_posix()
    return {
        "name": Path(record.slide).name,
        "status": record.status,
        "error": record.error,
        "warnings": record.warnings,
        "preview": quote(relative) if finished else "",
        "details": _details(record),
    }


def _details(record: SlideRecord) -> list[tuple[str, str]]:
    """Names and values for a reader, without those that are not known."""
    size = f"{record.width} x {record.height} px" if record.width else None
    tiles = f"{record.tiles} of {record.tiles_in_all}" if record.tiles is not None else None
    named = {
        "size": size,
        "resolution": _number(record.mpp, "µm/px"),
        "tissue": _number(record.tissue_mm2, "mm²"),
        "tiles with tissue": tiles,
        "statistics of": record.norm,
        "seams": record.seams,
        "seam score": _number(record.seam_score),
        "time": _number(record.seconds, "s"),
        "written": record.written,
    }
    return [(name, value) for name, value in named.items() if value]


def _number(value: float | None, unit: str = "") -> str | None:
    return None if value is None else f"{value:.4g} {unit}".rstrip()
