"""What is written about a batch: ``summary.csv``, ``summary.json``, ``summary.html`` and a script for QuPath."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock
from jinja2 import Environment, PackageLoader, StrictUndefined

from restain.errors import RestainError
from restain.files import write_json, write_text
from restain.slides.record import BatchSummary, SlideRecord, listed_name, read_summary
from restain.slides.run.job import SUFFIX
from restain.slides.run.qupath import qupath_script

FILES = ("summary.json", "summary.csv", "summary.html", "qupath.groovy")


def update_summary(out: Path, records: Sequence[SlideRecord]) -> None:
    """Write the four files, each whole or not at all, with what they hold of other slides of the folder.

    Several processes may do so at the same time. A slide that another process is staining keeps the row that it has,
    and a row whose virtual slide is gone is dropped.

    Args:
        out: folder of the results.
        records: of all slides of this run so far.
    """
    out.mkdir(parents=True, exist_ok=True)
    lock = out / ".summary.lock"
    with FileLock(lock):
        try:
            _write(out, _merged(out, records))
        finally:
            lock.unlink(missing_ok=True)


def _write(out: Path, rows: Sequence[SlideRecord]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, SlideRecord.columns(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(record.row() for record in rows)
    write_json(out / "summary.json", BatchSummary(slides=tuple(rows)).model_dump(mode="json"))
    write_text(out / "summary.csv", text.getvalue())
    write_text(out / "summary.html", _page(out, rows))
    write_text(out / "qupath.groovy", qupath_script(rows))


def _merged(out: Path, records: Sequence[SlideRecord]) -> list[SlideRecord]:
    """The rows of this run, and those of other slides that the summary holds, sorted by the slide's path."""
    try:
        earlier = read_summary(out / "summary.json").slides
    except RestainError:  # there is none yet
        earlier = ()
    rows = {place: record for record in earlier if (place := _place(record, out)) and _stands(record, out / place)}
    for record in records:
        place = _place(record, out)
        if place and not (record.status == "busy" and place in rows):
            rows[place] = record
    return sorted(rows.values(), key=lambda record: record.slide)


def _place(record: SlideRecord, out: Path) -> Path | None:
    """Where in the folder a virtual slide lies; the folder may have been moved, or named from another one."""
    path = Path(record.output).absolute()
    if path.is_relative_to(out.absolute()):
        return path.relative_to(out.absolute())
    places = (Path(*path.parts[start:]) for start in range(1, len(path.parts)))
    return next((place for place in places if (out / place).exists()), None)


def _stands(record: SlideRecord, output: Path) -> bool:
    """Whether a row of an earlier run, or of another process, is still true."""
    return output.exists() if record.status in ("stained", "skipped") else Path(record.slide).exists()


def _page(out: Path, records: Sequence[SlideRecord]) -> str:
    pages = Environment(
        loader=PackageLoader("restain.slides.run", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    counts = sorted(Counter(record.status for record in records).items())
    stains = sorted({record.stain for record in records if record.stain})
    page = pages.get_template("summary.html.j2")
    return page.render(stain=", ".join(stains), counts=counts, slides=[_entry(out, record) for record in records])


def _entry(out: Path, record: SlideRecord) -> dict[str, Any]:
    place = _place(record, out) or Path(record.output)
    preview = place.with_name(place.name.removesuffix(SUFFIX) + ".preview.png")
    finished = record.status in ("stained", "skipped") and (out / preview).is_file()
    return {
        "name": listed_name(record.slide, out / place, out),
        "status": record.status,
        "error": record.error,
        "warnings": record.warnings,
        "preview": quote(preview.as_posix()) if finished else "",
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
        "weights": record.weights_sha256[:12] if record.weights_sha256 else None,
    }
    return [(name, value) for name, value in named.items() if value]


def _number(value: float | None, unit: str = "") -> str | None:
    return None if value is None else f"{value:.4g} {unit}".rstrip()
