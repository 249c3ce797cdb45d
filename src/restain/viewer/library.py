"""The listed pictures by their ids, opened when they are asked for, a bounded number at a time."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from PIL import Image

from restain.errors import RestainError, in_short
from restain.images import RGB
from restain.viewer.opened import TILE, OpenPicture, contours_on_frame, open_picture
from restain.viewer.pictures import Case, Picture, beside_slide, record_of
from restain.wsi.tissue import find_tissue

_OPEN = 12  # slides at a time: a TIFF keeps up to 64 MiB of decoded tiles, a plain image all its pixels
_CACHE_BYTES = 128 * 2**20  # of encoded tiles
QUALITY = 90  # of JPEG, without chroma subsampling: stains are told by their colour
_THUMBNAIL = 240  # pixels, longer side

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Values by key, the least recently used dropped; each is made once, however many threads ask for it together."""

    def __init__(self, capacity: int, cost: Callable[[Value], int] = lambda _: 1) -> None:
        self._capacity = capacity
        self._cost = cost
        self._held: OrderedDict[Hashable, Value] = OrderedDict()
        self._total = 0
        self._lock = Lock()
        self._making: dict[Hashable, Lock] = {}

    @property
    def total(self) -> int:
        """Summed cost of what is held."""
        return self._total

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of a key, made where it is not held; what ``make`` raises is raised and not kept."""
        with self._lock:
            making = self._making.setdefault(key, Lock())
        with making:
            with self._lock:
                if key in self._held:
                    self._held.move_to_end(key)
                    self._making.pop(key, None)
                    return self._held[key]
            try:
                value = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                if key not in self._held:
                    self._held[key] = value
                    self._total += self._cost(value)
                while self._total > self._capacity and len(self._held) > 1:
                    self._total -= self._cost(self._held.popitem(last=False)[1])
            return value


class Library:
    """Everything that the viewer may show. Every method may be called by several threads."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = tuple(cases)
        self._listed: dict[str, tuple[Picture, Case]] = {
            picture.id: (picture, case) for case in self.cases for picture in case.pictures
        }
        self._opened: BoundedCache[OpenPicture] = BoundedCache(_OPEN)
        self._tiles: BoundedCache[bytes] = BoundedCache(_CACHE_BYTES, len)
        self._contours: BoundedCache[list[list[list[float]]]] = BoundedCache(_OPEN)

    def listing(self) -> list[dict[str, Any]]:
        """Cases and their pictures, without a path."""
        return [
            {
                "id": case.id,
                "title": case.title,
                "notes": list(case.notes),
                "pictures": [
                    {"id": picture.id, "role": picture.role, "label": picture.label, "file": picture.path.name}
                    for picture in case.pictures
                ],
            }
            for case in self.cases
        ]

    def description(self, id: str) -> dict[str, Any]:
        """What the page needs to show a picture.

        Raises:
            KeyError: no such picture.
            RestainError: it cannot be opened.
        """
        opened = self._open(id)
        return {
            "id": id,
            "width": opened.size.width,
            "height": opened.size.height,
            "tile": TILE,
            "last_level": opened.last_level,
            "mpp": opened.mpp,
            "scale_known": opened.scale_known,
            "notes": list(opened.notes),
            "overlays": [colours.legend() for colours in opened.overlays],
        }

    def tile(self, id: str, layer: str, level: int, column: int, row: int) -> bytes:
        """A tile: of the picture itself (JPEG) where the layer is ``image``, or of one of its overlays (PNG).

        Raises:
            KeyError: no such picture, layer or tile.
            RestainError: it cannot be decoded there.
        """
        opened = self._open(id)
        region = opened.tile_region(level, column, row)
        if region is None:
            raise KeyError((level, column, row))

        def make() -> bytes:
            if layer == "image":
                return encode_jpeg(opened.read(level, region))
            found = opened.read_overlay(layer, level, region)
            if found is None:
                raise KeyError(layer)
            return found[0].encode(found[1])

        return self._tiles.get((id, layer, level, column, row), make)

    def thumbnail(self, id: str) -> bytes:
        """A small JPEG of the whole picture; raises as ``tile``."""
        opened = self._open(id)
        return self._tiles.get((id, "thumbnail"), lambda: encode_jpeg(opened.overview(_THUMBNAIL)))

    def tissue(self, id: str) -> list[list[list[float]]]:
        """Outlines of the tissue as closed rings of (x, y) in microns on the frame of the case.

        As ``restain slide`` wrote them beside its result, or else as ``find_tissue`` sees them. Raises as ``tile``.
        """
        opened = self._open(id)

        def make() -> list[list[list[float]]]:
            rings = _written_contours(opened.picture.path)
            if rings is None:
                found = find_tissue(opened.slide)
                rings = _rings(found.to_geojson(found.slide_mpp), found.slide_mpp)
            return [np.round(ring, 2).tolist() for ring in contours_on_frame(rings, opened.transform)]

        return self._contours.get(id, make)

    def record(self, id: str) -> dict[str, Any]:
        """What is known of a picture: the record of ``restain slide``, and what its file states. Raises as ``tile``."""
        opened = self._open(id)
        path, slide = opened.picture.path, opened.slide
        record = record_of(path)
        finest = slide.levels[0].size
        return {
            "file": path.name,
            "notes": list(opened.notes),
            "record": record.model_dump(mode="json", exclude={"slide", "output"}) if record else None,
            "slide": {
                "reader": slide.reader,
                "size": f"{finest} pixels",
                "pixel size": f"{slide.mpp:.4g} µm" if opened.scale_known else "not stated",
                "levels": ", ".join(str(level.size) for level in slide.levels),
                "colour profile": f"{len(slide.icc)} bytes, not applied" if slide.icc else "none",
            },
            "properties": {name: value[:2000] for name, value in slide.properties.items()},
        }

    def without_paths(self, id: str, message: str) -> str:
        """A message with file names in place of the paths of a case's files."""
        picture, case = self._listed[id]
        files = [one.path for one in case.pictures] + ([picture.transform] if picture.transform else [])
        for path in files:
            for folder in (path.parent, path.parent.resolve()):
                message = message.replace(f"{folder}/", "") if str(folder) != "." else message
        return message

    def _open(self, id: str) -> OpenPicture:
        picture, case = self._listed[id]
        return self._opened.get(id, lambda: open_picture(picture, case))


def encode_jpeg(rgb: RGB) -> bytes:
    """A JPEG of uint8 (height, width, 3), always by the same encoder with the same settings."""
    held = io.BytesIO()
    Image.fromarray(rgb).save(held, "JPEG", quality=QUALITY, subsampling=0)
    return held.getvalue()


def _written_contours(path: Path) -> list[list[tuple[float, float]]] | None:
    """From ``NAME.tissue.geojson``, which states the microns per pixel of its coordinates."""
    record, beside = record_of(path), beside_slide(path, ".tissue.geojson")
    if record is None or record.made_by is None or not beside.is_file():
        return None
    try:
        outlines = json.loads(beside.read_text(encoding="utf-8"))
        return _rings(outlines, float(outlines["mpp"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RestainError(f"{beside}: is not a GeoJSON that restain wrote ({in_short(error)})") from error


def _rings(geojson: dict[str, Any], mpp: float) -> list[list[tuple[float, float]]]:
    polygons = (feature["geometry"]["coordinates"] for feature in geojson["features"])
    return [[(x * mpp, y * mpp) for x, y in ring] for polygon in polygons for ring in polygon]
