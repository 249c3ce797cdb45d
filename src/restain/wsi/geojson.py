"""Tissue as GeoJSON, the form in which QuPath exports and imports annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from skimage.draw import polygon as pixels_inside

from restain.errors import RestainError, in_short
from restain.wsi.geometry import Grid, Mask

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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        stated = content.get("mpp", mpp) if isinstance(content, dict) else mpp
        scale = float(stated) / grid.mpp
        polygons = list(_polygons(content))
        mask = np.zeros(grid.size.shape, dtype=bool)
        for inside in (True, False):
            for rings, taken in polygons:
                if taken == inside:
                    _draw(mask, [np.asarray(ring, dtype=np.float64)[:, :2] * scale for ring in rings], inside)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise RestainError(f"{path}: cannot be read as GeoJSON ({in_short(error)})") from None
    if not any(taken for _, taken in polygons):
        raise RestainError(f"{path}: holds no polygon; expected annotations that outline the tissue")
    return mask


def _polygons(content: Any, taken: bool = True) -> Iterator[tuple[list[Any], bool]]:
    """(rings, whether they count as tissue) of every polygon."""
    if isinstance(content, list):
        for entry in content:
            yield from _polygons(entry, taken)
    elif content["type"] == "FeatureCollection":
        yield from _polygons(content["features"], taken)
    elif content["type"] == "Feature":
        classification = (content.get("properties") or {}).get("classification") or {}
        yield from _polygons(content["geometry"], classification.get("name") != _LEFT_OUT)
    elif content["type"] == "GeometryCollection":
        yield from _polygons(content["geometries"], taken)
    elif content["type"] == "Polygon":
        yield content["coordinates"], taken
    elif content["type"] == "MultiPolygon":
        for rings in content["coordinates"]:
            yield rings, taken


def _draw(mask: Mask, rings: list[np.ndarray[Any, np.dtype[np.float64]]], value: bool) -> None:
    """Set the pixels inside the first ring and outside the others."""
    inside = np.zeros_like(mask)
    for number, ring in enumerate(rings):
        x, y = ring.T - 0.5  # the middle of pixel 0 lies at 0.5
        inside[pixels_inside(y, x, mask.shape)] = number == 0  # type: ignore[no-untyped-call]
    mask[inside] = value
