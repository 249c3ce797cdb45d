"""The truth about virtual tissue, as small files: a table of cells, and how consecutive sections lie."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from restain.phantoms.cells import Cells, Kind
from restain.phantoms.field import Array
from restain.phantoms.section import Displacement, View

_COLUMNS = ("y", "x", "kind", "radius_um", "morphology", "intensity", "positive")


class CellTable:
    """A CSV of cells: y and x in pixels, kind, nuclear radius in microns, morphological score m (tumour only),
    stain intensity 0..3 and whether it is above 0.

    Args:
        path: the file; its folder is made.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(_COLUMNS)

    def append(self, cells: Cells) -> None:
        """Add rows."""
        with self._path.open("a", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            for i in range(len(cells)):
                tumour = cells.kind[i] == Kind.TUMOUR
                rows.writerow(
                    (
                        f"{cells.y[i]:.2f}",
                        f"{cells.x[i]:.2f}",
                        Kind(cells.kind[i]).name.lower(),
                        f"{cells.radius[i]:.2f}",
                        f"{cells.morphology[i]:.3f}" if tumour else "",
                        cells.intensity[i],
                        int(cells.intensity[i] > 0),
                    )
                )


def write_displacement(path: Path, displacement: Displacement, view: View, stride: int) -> None:
    """Store a displacement as npz: ``dy`` and ``dx`` in pixels (float32) at the ``rows`` x ``columns`` of the window.

    IHC pixel (y, x) shows the tissue at H&E pixel (y + dy, x + dx). ``stride`` pixels lie between samples; the last
    row and column are always among them.
    """
    rows, columns = _samples(view.height, stride), _samples(view.width, stride)
    dy, dx = _sampled(displacement, view, rows, columns)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, rows=rows, columns=columns, dy=dy.astype(np.float32), dx=dx.astype(np.float32))


def append_displacement(path: Path, name: str, displacement: Displacement, view: View) -> None:
    """Add a row to the table of displacements: translation, rotation, mean and largest length in pixels."""
    dy, dx = _sampled(displacement, view, _samples(view.height, 4), _samples(view.width, 4))
    length = np.hypot(dy, dx)
    new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(
                (
                    "stem",
                    "shift_y_px",
                    "shift_x_px",
                    "rotation_deg",
                    "mean_displacement_px",
                    "max_displacement_px",
                )
            )
        values = (*displacement.shift, displacement.rotation, length.mean(), length.max())
        rows.writerow((name, *(f"{value:.4f}" for value in values)))


def _samples(length: int, stride: int) -> Array:
    return np.unique(np.append(np.arange(0.0, length, stride), length - 1.0))


def _sampled(displacement: Displacement, view: View, rows: Array, columns: Array) -> tuple[Array, Array]:
    y, x = np.meshgrid(view.top + rows, view.left + columns, indexing="ij")
    return displacement.at(y, x)
