"""The page about a training set: what was kept and discarded, and why, in one self-contained HTML file."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from restain.files import write_text
from restain.registration.tiles import TileRow

_MOST_SHOWN = 96  # tiles, kept and discarded each
_BARS = 24
_HISTOGRAMS = (
    ("residual_um", "residual, µm", 20.0),
    ("confidence", "confidence", 1.0),
    ("haematoxylin_r", "haematoxylin correlation", 1.0),
    ("weight", "weight of the kept", 1.0),
    ("dab_area", "DAB area", 1.0),
    ("blur_ihc", "blur of the IHC", 1.0),
)


@dataclass(frozen=True)
class Bar:
    """One bar of a histogram, in percent of the drawing."""

    x: float
    width: float
    kept: float
    discarded: float


@dataclass(frozen=True)
class Histogram:
    """A measure's distribution: kept tiles at the bottom, discarded ones on top; the last bar holds what is larger."""

    title: str
    low: str
    high: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Shown:
    """A tile on the contact sheet."""

    row: TileRow
    uri: str


def write_page(out: Path, rows: Sequence[TileRow], slides: Sequence[dict[str, Any]]) -> Path:
    """Write ``pairs.html`` into the folder of a training set.

    Args:
        out: the folder; small pictures are looked for in ``thumbnails/`` and ``slides/NAME/thumbnails/``.
        rows: all tiles.
        slides: what became of each pair of slides, as ``summary.json`` has it; none for a refined data set.
    """
    pages = Environment(
        loader=PackageLoader("restain.registration", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = [Shown(row, _jpeg(path)) for row in rows if (path := _thumbnail(out, row)).exists()]
    html = pages.get_template("page.html.j2").render(
        name=out.resolve().name,
        total=len(rows),
        kept=sum(row.kept for row in rows),
        reasons=Counter(row.reason.split(":")[0] for row in rows if not row.kept).most_common(),
        splits=_split_table(rows),
        slides=slides,
        histograms=[_histogram(rows, *one) for one in _HISTOGRAMS] if rows else [],
        sheets=[
            ("Kept", _evenly([one for one in shown if one.row.kept])),
            ("Discarded", _evenly([one for one in shown if not one.row.kept and one.row.reason != "not chosen"])),
        ],
    )
    path = out / "pairs.html"
    write_text(path, html)
    return path


def _thumbnail(out: Path, row: TileRow) -> Path:
    in_slide = out / "slides" / row.slide / "thumbnails" / f"{row.name}.jpg"
    return in_slide if in_slide.exists() else out / "thumbnails" / f"{row.split}_{row.name}.jpg"


def _jpeg(path: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _evenly(shown: list[Shown]) -> list[Shown]:
    if len(shown) <= _MOST_SHOWN:
        return shown
    return [shown[int(place)] for place in np.linspace(0, len(shown) - 1, _MOST_SHOWN)]


def _split_table(rows: Sequence[TileRow]) -> list[tuple[str, int, int, int, float]]:
    """(split, patients, tiles, kept, mean DAB area of the kept)."""
    table = []
    for split in ("train", "val", "test"):
        own = [row for row in rows if row.split == split]
        kept = [row for row in own if row.kept]
        if own:
            area = float(np.mean([row.dab_area for row in kept])) if kept else 0.0
            table.append((split, len({row.patient for row in own}), len(own), len(kept), area))
    return table


def _histogram(rows: Sequence[TileRow], field: str, title: str, high: float) -> Histogram:
    looked_at = [row for row in rows if row.kept] if field == "weight" else list(rows)
    values = np.clip([float(getattr(row, field)) for row in looked_at], 0, high * (1 - 1e-9))
    kept = np.array([row.kept for row in looked_at], dtype=bool)
    edges = np.linspace(0, high, _BARS + 1)
    counts = [np.histogram(values[mask], edges)[0] for mask in (kept, ~kept)] if len(values) else [np.zeros(_BARS)] * 2
    most = max(float((counts[0] + counts[1]).max()), 1.0)
    width = 100 / _BARS
    bars = tuple(
        Bar(i * width, width * 0.86, 100 * float(counts[0][i]) / most, 100 * float(counts[1][i]) / most)
        for i in range(_BARS)
    )
    return Histogram(title, "0", f"{high:g}", bars)
