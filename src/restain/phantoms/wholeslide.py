"""A whole virtual slide as tiled TIFF, drawn tile by tile, so that memory does not grow with the slide."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile

from restain.phantoms.section import View
from restain.phantoms.slide import Slide
from restain.phantoms.truth import CellTable, append_displacement, write_displacement
from restain.progress import ProgressBar

TILE = 512  # pixels
_TRUTH_STRIDE = 64  # pixels between stored displacements

Pixels = npt.NDArray[np.uint8]


def write_slide(folder: Path, slide: Slide, size: int) -> None:
    """Draw a square slide into ``he.tif``, ``ihc.tif`` (and ``ihc_aligned.tif`` of consecutive sections), with truth.

    A TIFF is written from start to end, so each tile is drawn once, for the H&E, and its other images wait in a
    scratch file until their turn.

    Args:
        folder: where the files go.
        slide: a slide of the given extent.
        size: side in pixels.
    """
    whole = View(0, 0, size, size, slide.options.mpp)
    displacement = slide.displacement(whole)
    truth = folder / "truth"
    truth.mkdir()
    if displacement is not None:
        write_displacement(truth / "displacement.npz", displacement, whole, _TRUTH_STRIDE)
        append_displacement(truth / "displacement.csv", "slide", displacement, whole)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".scratch-") as scratch:
        later = {"ihc": _Later(Path(scratch) / "ihc", 3), "tissue": _Later(Path(scratch) / "tissue", 1)}
        if displacement is not None:
            later["aligned"] = _Later(Path(scratch) / "aligned", 3)
        _write_tiff(folder / "he.tif", _draw(slide, whole, truth, later), slide, size)
        _write_tiff(folder / "ihc.tif", later["ihc"].tiles(), slide, size)
        _write_tiff(truth / "tissue.tif", later["tissue"].tiles(), slide, size)
        if displacement is not None:
            _write_tiff(folder / "ihc_aligned.tif", later["aligned"].tiles(), slide, size)


def _draw(slide: Slide, whole: View, truth: Path, later: dict[str, _Later]) -> Iterator[Pixels]:
    """H&E tiles in the order of a TIFF; the other images go to ``later``, the cells to their tables."""
    displacement = slide.displacement(whole)
    table = CellTable(truth / "cells.csv")
    ihc_table = CellTable(truth / "cells_ihc.csv") if displacement is not None else None
    starts = range(0, whole.height, TILE)
    with ProgressBar("drawing a slide", total=len(starts) ** 2, unit="tiles") as bar:
        for top in starts:
            for left in starts:
                made = slide.render(View(top, left, TILE, TILE, whole.mpp), displacement)
                later["ihc"].append(made.ihc)
                later["tissue"].append(made.tissue)
                table.append(made.cells.moved(top, left).within(whole.height, whole.width))
                if made.aligned is not None and made.ihc_cells is not None and ihc_table is not None:
                    later["aligned"].append(made.aligned)
                    ihc_table.append(made.ihc_cells.moved(top, left).within(whole.height, whole.width))
                yield made.he
                bar.advance()


class _Later:
    """Tiles kept on disk, raw, in the order in which they will be wanted."""

    def __init__(self, path: Path, channels: int) -> None:
        self._path = path
        self._shape = (TILE, TILE, channels) if channels > 1 else (TILE, TILE)

    def append(self, tile: Pixels) -> None:
        with self._path.open("ab") as file:
            file.write(tile.tobytes())

    def tiles(self) -> Iterator[Pixels]:
        count = int(np.prod(self._shape))
        with self._path.open("rb") as file:
            while data := file.read(count):
                yield np.frombuffer(data, dtype=np.uint8).reshape(self._shape)


def _write_tiff(path: Path, tiles: Iterator[Pixels], slide: Slide, size: int) -> None:
    labels = path.stem == "tissue"
    jpeg = slide.options.jpeg_quality if not labels else None
    per_centimetre = 1e4 / slide.options.mpp
    with tifffile.TiffWriter(path, bigtiff=size * size * 3 > 2**31) as writer:
        writer.write(
            tiles,
            shape=(size, size) if labels else (size, size, 3),
            dtype=np.uint8,
            tile=(TILE, TILE),
            photometric="minisblack" if labels else "rgb",
            compression="deflate" if jpeg is None else "jpeg",
            compressionargs=None if jpeg is None else {"level": jpeg},
            resolution=(per_centimetre, per_centimetre),
            resolutionunit="CENTIMETER",
            software=False,
            metadata=None,
        )
