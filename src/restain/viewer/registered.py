"""A slide seen on the grid of another through the transform of ``restain register``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from restain.errors import RestainError
from restain.files import read_json
from restain.images import RGB
from restain.wsi.geometry import Region
from restain.wsi.resample import read_region
from restain.wsi.slide import Slide

Matrix: TypeAlias = npt.NDArray[np.float64]  # (2, 3), or (3, 3) with (0, 0, 1) below
_VERSIONS = (1,)


@dataclass(frozen=True)
class Transform:
    """An affine map from microns of the H&E to microns of the IHC.

    Attributes:
        matrix: float64 (2, 3): x, y and 1 of the H&E give x and y of the IHC, from their upper left corners.
        has_displacement: the file also holds a field of displacements, which the affine map leaves out.
    """

    matrix: Matrix
    has_displacement: bool

    @property
    def scale(self) -> float:
        """Microns of the IHC per micron of the H&E."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))


def read_transform(path: Path) -> Transform:
    """Read a ``transform.json``: the steps that ``restain register`` writes, or one affine ``matrix``.

    The steps (``unit`` micron, ``maps`` he to ihc) are applied in their order; a step of kind ``field`` is left out.
    The short form is ``{"version": 1, "units": "um", "matrix": [[a, b, c], [d, e, f]]}``.

    Raises:
        RestainError: it cannot be read, is of an unknown version, is not in microns, or its matrices are not
            invertible affine maps.
    """
    fields = read_json(path)
    if fields.get("version") not in _VERSIONS:
        raise RestainError(f"{path}: version is {fields.get('version')!r}; expected {_VERSIONS[-1]}")
    if "steps" not in fields:
        if fields.get("units") != "um":
            raise RestainError(f"{path}: units is {fields.get('units')!r}; expected 'um'")
        return Transform(_affine(path, fields.get("matrix"))[:2], fields.get("displacement") is not None)
    for name, expected in (("unit", "micron"), ("maps", "he to ihc")):
        if fields.get(name) != expected:
            raise RestainError(f"{path}: {name} is {fields.get(name)!r}; expected {expected!r}")
    steps = fields["steps"]
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise RestainError(f"{path}: steps is no list of objects")
    whole = np.eye(3)
    for step in steps:
        if step.get("kind") in ("affine", "rigid"):
            whole = _affine(path, step.get("matrix")) @ whole
        elif step.get("kind") != "field":
            raise RestainError(f"{path}: a step is of kind {step.get('kind')!r}; expected field, affine or rigid")
    return Transform(whole[:2], any(step["kind"] == "field" for step in steps))


def _affine(path: Path, given: object) -> Matrix:
    """Two rows of three numbers as a float64 (3, 3) that acts on (x, y, 1)."""
    try:
        matrix = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :2])) < 1e-6:
        raise RestainError(f"{path}: matrix is {given!r}; expected two rows of three numbers, invertible")
    return np.vstack([matrix, (0, 0, 1)])


def read_registered(slide: Slide, transform: Transform, region: Region, mpp: float) -> RGB:
    """Read a rectangle of the H&E's grid from a registered slide, bilinearly from an equally fine grid of its own.

    Args:
        slide: the IHC.
        transform: from the H&E to it.
        region: in pixels of the grid at ``mpp`` over the H&E.
        mpp: microns per pixel of the result.

    Returns:
        uint8 (height, width, 3); white outside the IHC.

    Raises:
        RestainError: the slide cannot be decoded there.
    """
    own = max(mpp * transform.scale, slide.mpp)  # finer than its pixels there is nothing
    x = (np.arange(region.x, region.right) + 0.5) * mpp
    y = (np.arange(region.y, region.bottom) + 0.5) * mpp
    (xx, xy, x0), (yx, yy, y0) = transform.matrix
    across = (xx * x[None, :] + xy * y[:, None] + x0) / own - 0.5  # centres of pixels, in pixels of the own grid
    down = (yx * x[None, :] + yy * y[:, None] + y0) / own - 0.5
    left, top = int(np.floor(across.min())), int(np.floor(down.min()))
    box = Region(left, top, int(np.ceil(across.max())) - left + 2, int(np.ceil(down.max())) - top + 2)
    pixels = read_region(slide, box, own).astype(np.float32)
    places = np.stack([down - top, across - left])
    planes = [map_coordinates(pixels[..., channel], places, order=1, mode="nearest") for channel in range(3)]
    return np.asarray(np.rint(np.stack(planes, axis=-1)), np.uint8)
