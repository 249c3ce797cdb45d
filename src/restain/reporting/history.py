"""What training left to look at: attention over the tissue, curves, samples over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restain.images import read_rgb
from restain.reporting import charts
from restain.reporting.pictures import Picture, colour_bar, jpeg_uri, overlay, read_grey, shrink, svg_uri
from restain.reporting.run_files import RunFiles

ATTENTION_PIXELS, GRID_PIXELS = 384, 900  # longer side on the page


@dataclass(frozen=True)
class AttentionRow:
    """The IHC of one field and its overlays, one a layer."""

    id: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Attention:
    """Attention maps of the run, and the colour scale they are drawn in."""

    rows: tuple[AttentionRow, ...]
    scale: str


def attention_section(run: RunFiles, count: int = 4) -> Attention:
    """The first ``count`` fields with their attention over the IHC."""
    rows = []
    for field in run.attention[:count]:
        ihc = shrink(read_rgb(field.ihc), ATTENTION_PIXELS)
        pictures = [Picture("true IHC", f"True IHC of field {field.id}", jpeg_uri(ihc))]
        for layer, path in field.layers.items():
            grey = read_grey(path)
            caption = f"{layer}, {grey.shape[0]} × {grey.shape[1]}"
            alt = f"Attention of {layer} over the true IHC of field {field.id}"
            pictures.append(Picture(caption, alt, jpeg_uri(overlay(ihc, grey))))
        rows.append(AttentionRow(field.id, tuple(pictures)))
    return Attention(tuple(rows), jpeg_uri(colour_bar()))


def curves_uri(run: RunFiles) -> str | None:
    """The training curves; None without a log that holds numbers."""
    svg = charts.curves(run.log) if run.log is not None and len(run.log) else None
    return svg_uri(svg) if svg else None


def sample_section(run: RunFiles, count: int = 4) -> list[Picture]:
    """Up to ``count`` (>= 2) sample grids at even distances in time, the first and the last among them."""
    total = len(run.samples)
    positions = np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()
    pictures = []
    for step, path in (run.samples[position] for position in positions):
        alt = f"Samples at step {step}: H&E, virtual stain, true IHC"
        pictures.append(Picture(f"step {step:,}", alt, jpeg_uri(shrink(read_rgb(path), GRID_PIXELS))))
    return pictures
