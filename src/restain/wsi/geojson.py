"""Tissue and regions as GeoJSON, the form in which QuPath exports and imports annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from skimage.draw import polygon as pixels_inside

from restain.errors import RestainError, in_short, quoted
from restain.files import read_text
from restain.wsi.geometry import Grid, Mask

Corners: TypeAlias = npt.NDArray[np.float64]  # (corners, 2): x, y

_LEFT_OUT = "Ignore*"  # QuPath's class for what is to be left out


def read_mask(path: Path, grid: Grid, mpp: float) -> Mask:
    """Draw the polygons of a GeoJSON file into a mask; those of QuPath's class ``Ignore*`` are cut out of the others.

    A pixel belongs to a polygon if its middle does, so contours along pixels give the pixels back.

    Args:
        path: a feature collection, a list of features, one feature or one geometry.
        grid: of the mask.
        mpp: microns per pixel of the coordinates, where the collection does not state them under the key ``mpp``: those
            of the slide's level 0.

    Returns:
        bool (height, width).

    Raises:
        RestainError: the file cannot be read, is no GeoJSON, or holds no polygon.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
        scale = _scale(content, mpp) / grid.mpp
        polygons = [(list(map(_corners, rings)), taken) for rings, taken in _polygons(content)]
    except (ValueError, RecursionError) as error:
        raise RestainError(f"{path}: cannot be read as GeoJSON ({in_short(error)})") from None
    if not any(taken for _, taken in polygons):
        raise RestainError(f"{path}: holds no polygon; expected annotations that outline the tissue")
    mask = np.zeros(grid.size.shape, dtype=bool)
    for inside in (True, False):
        for rings, taken in polygons:
            if taken == inside and rings:
                _draw(mask, [ring * scale for ring in rings], inside)
    return mask


def _scale(content: Any, mpp: float) -> float:
    stated = content.get("mpp", mpp) if isinstance(content, dict) else mpp
    if isinstance(stated, bool) or not isinstance(stated, int | float) or not 0 < stated < 1e6:
        raise ValueError(f"mpp is {quoted(stated)}; expected microns per pixel")
    return float(stated)


def _polygons(content: Any, taken: bool = True) -> Iterator[tuple[list[Any], bool]]:
    """(rings, whether they count as tissue) of every polygon."""
    if isinstance(content, list):
        for entry in content:
            yield from _polygons(entry, taken)
        return
    kind = _field(content, "type", str)
    if kind == "FeatureCollection":
        yield from _polygons(_field(content, "features", list), taken)
    elif kind == "Feature":
        properties = content.get("properties")
        classification = properties.get("classification") if isinstance(properties, dict) else None
        name = classification.get("name") if isinstance(classification, dict) else classification
        if content.get("geometry") is not None:
            yield from _polygons(_field(content, "geometry", dict), name != _LEFT_OUT)
    elif kind == "GeometryCollection":
        yield from _polygons(_field(content, "geometries", list), taken)
    elif kind == "Polygon":
        yield _field(content, "coordinates", list), taken
    elif kind == "MultiPolygon":
        for rings in _field(content, "coordinates", list):
            if not isinstance(rings, list):
                raise ValueError(f"a polygon is {quoted(rings)}; expected a list of rings")
            yield rings, taken


def _field(content: Any, name: str, kind: type) -> Any:
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, kind):
        where = "" if isinstance(content, dict) else f" of {quoted(content)}"
        raise ValueError(f"the field {name}{where} is {quoted(value)}; expected a {kind.__name__}")
    return value


def _corners(ring: Any) -> Corners:
    """The corners of a ring; a third coordinate is left out."""
    try:
        corners = np.array([corner[:2] for corner in ring], dtype=np.float64)
    except (TypeError, ValueError, OverflowError, KeyError):
        corners = np.empty((0, 0))
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"a ring is {quoted(ring)}; expected at least three corners [x, y]")
    return corners


def _draw(mask: Mask, rings: list[Corners], value: bool) -> None:
    """Set the pixels inside the first ring and outside the others."""
    start = np.clip(np.floor(rings[0].min(axis=0)) - 1, 0, mask.shape[::-1]).astype(int)
    stop = np.clip(np.ceil(rings[0].max(axis=0)) + 1, 0, mask.shape[::-1]).astype(int)
    part = mask[start[1] : stop[1], start[0] : stop[0]]  # of many small polygons on a large slide
    if not part.size:
        return
    inside = np.zeros_like(part)
    for number, ring in enumerate(rings):
        x, y = (ring - start).T - 0.5  # the middle of pixel 0 lies at 0.5
        inside[pixels_inside(y, x, part.shape)] = number == 0  # type: ignore[no-untyped-call]
    part[inside] = value
