"""A slide seen on the grid of another through the transform of ``restain register``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from restain.alignment.fitting import Affine
from restain.errors import RestainError
from restain.files import read_json
from restain.images import RGB
from restain.registration.transform import VERSION, ShiftField, Transform
from restain.stains import Floats
from restain.wsi.geometry import Region
from restain.wsi.resample import read_region
from restain.wsi.slide import Slide

_COARSEST = 16  # pixels between places where the field is evaluated; in between it is interpolated linearly
_FINER = 4  # places within the spacing of the field's nodes, at least


def read_transform(path: Path) -> Transform:
    """Read a ``transform.json``: what ``restain register`` writes, or one affine ``matrix``.

    The short form is ``{"version": 1, "units": "um", "matrix": [[a, b, c], [d, e, f]]}``.

    Raises:
        RestainError: it cannot be read, is of an unknown version, is not in microns, or its matrices are not
            invertible affine maps.
    """
    fields = read_json(path)
    if fields.get("version") != VERSION:
        raise RestainError(f"{path}: version is {fields.get('version')!r}; expected {VERSION}")
    if "steps" in fields:
        transform = Transform.read(path)
    elif fields.get("units") != "um":
        raise RestainError(f"{path}: units is {fields.get('units')!r}; expected 'um'")
    else:
        transform = Transform(Affine.identity(), _affine(path, fields.get("matrix")))
    if not abs(np.linalg.det(transform.linear.matrix)) >= 1e-6:
        raise RestainError(f"{path}: matrix maps an area to a line; expected invertible maps")
    return transform


def scale_of(transform: Transform) -> float:
    """Microns of the IHC per micron of the H&E."""
    return float(np.sqrt(abs(np.linalg.det(transform.linear.matrix))))


def _affine(path: Path, given: object) -> Affine:
    try:
        matrix = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape != (2, 3) or not np.isfinite(matrix).all():
        raise RestainError(f"{path}: matrix is {given!r}; expected two rows of three numbers")
    return Affine(matrix[:, :2], matrix[:, 2])


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
    own = max(mpp * scale_of(transform), slide.mpp)  # finer than its pixels there is nothing
    x = (np.arange(region.x, region.right) + 0.5)[None, :] * mpp
    y = (np.arange(region.y, region.bottom) + 0.5)[:, None] * mpp
    if transform.field is not None:
        shifts = _shifts(transform.field, region, mpp)
        x, y = x + shifts[0], y + shifts[1]
    (xx, xy), (yx, yy) = transform.linear.matrix
    x0, y0 = transform.linear.offset
    across = (xx * x + xy * y + x0) / own - 0.5  # centres of pixels, in pixels of the own grid
    down = (yx * x + yy * y + y0) / own - 0.5
    left, top = int(np.floor(across.min())), int(np.floor(down.min()))
    box = Region(left, top, int(np.ceil(across.max())) - left + 2, int(np.ceil(down.max())) - top + 2)
    pixels = read_region(slide, box, own).astype(np.float32)
    places = np.stack([down - top, across - left])
    planes = [map_coordinates(pixels[..., channel], places, order=1, mode="nearest") for channel in range(3)]
    return np.asarray(np.rint(np.stack(planes, axis=-1)), np.uint8)


def _shifts(field: ShiftField, region: Region, mpp: float) -> Floats:
    """Shifts (2, height, width) in microns at the pixels of a region, x first.

    The spline is evaluated at every 16th pixel, or closer where its nodes are, and interpolated linearly in between.
    """
    step = int(np.clip(field.spacing / (_FINER * mpp), 1, _COARSEST))
    columns, rows = (np.arange(length // step + 2) * step for length in (region.width, region.height))
    x, y = (columns + region.x + 0.5) * mpp, (rows + region.y + 0.5) * mpp
    points = np.stack(np.broadcast_arrays(x[None, :], y[:, None]), axis=-1).reshape(-1, 2)
    coarse = field.at(points).reshape(len(rows), len(columns), 2)
    places = np.meshgrid(np.arange(region.height) / step, np.arange(region.width) / step, indexing="ij")
    return np.stack([map_coordinates(coarse[..., axis], places, order=1) for axis in (0, 1)])
