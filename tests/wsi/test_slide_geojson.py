"""Tissue that comes as GeoJSON: what restain wrote comes back, what QuPath exports lies where it was drawn."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restain.errors import RestainError
from restain.files import write_json
from restain.types import Mpp
from restain.wsi.geojson import read_mask
from restain.wsi.geometry import Grid, Size
from restain.wsi.tissue import Tissue

GRID = Grid(Mpp(8.0), Size(40, 30))


def feature(rings: list[list[list[float]]], name: str = "Tissue", kind: str = "Polygon") -> dict[str, Any]:
    coordinates: Any = rings if kind == "Polygon" else [[ring] for ring in rings]
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


@pytest.mark.parametrize("density", [0.3, 0.6])
@pytest.mark.parametrize("mpp", [0.25, 0.4661, 8.0])
def test_a_mask_comes_back_from_its_contours(tmp_path: Path, density: float, mpp: float) -> None:
    mask = np.random.default_rng(0).random((30, 40)) < density
    write_json(tmp_path / "t.geojson", Tissue(mask, Mpp(8.0), (255, 255, 255), Mpp(0.25)).to_geojson(mpp))
    assert np.array_equal(read_mask(tmp_path / "t.geojson", GRID, 0.25), mask)


def test_what_qupath_exports_lies_in_pixels_of_the_slide(tmp_path: Path) -> None:
    features = [
        feature([box(80, 40, 240, 200), box(120, 80, 160, 120)]),  # with a hole
        feature([box(320, 240, 400, 320), box(480, 400, 800, 600)], kind="MultiPolygon"),
        feature([box(80, 160, 320, 200)], name="Ignore*"),
    ]
    expected = np.zeros((30, 40), dtype=bool)
    expected[2:10, 4:12] = True
    expected[4:6, 6:8] = False
    expected[12:16, 16:20] = True
    expected[20:30, 24:40] = True
    expected[8:10, 4:12] = False  # left out
    for content in ({"type": "FeatureCollection", "features": features}, features):
        (tmp_path / "t.geojson").write_text(json.dumps(content))
        assert np.array_equal(read_mask(tmp_path / "t.geojson", GRID, 0.4), expected)  # 20 pixels of the slide each


def test_anything_else_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "t.geojson"
    with pytest.raises(RestainError, match=r"t\.geojson: no such file"):
        read_mask(path, GRID, 0.5)
    for text, words in (
        ("{", "cannot be read as GeoJSON"),
        ("3", "the field type of 3 is None; expected a str"),
        ("{}", "the field type is None"),
        ('{"type": "Polygon"}', "the field coordinates is None; expected a list"),
        ("[" * 100_000, "cannot be read as GeoJSON"),
        ('{"type": "Polygon", "coordinates": [[[1]]]}', r"a ring is \[\[1\]\]; expected at least three corners"),
        ('{"type": "Polygon", "coordinates": [[]]}', r"a ring is \[\]"),
        ('{"type": "Polygon", "coordinates": [[[0, 0], [9, 9]]]}', "at least three corners"),
        ('{"type": "Polygon", "coordinates": [[[NaN, 0], [9, 0], [9, 9]]]}', r"a ring is \[\[nan"),
        ('{"type": "Polygon", "coordinates": [{"a": 1}]}', "a ring is {'a': 1}"),
        ('{"type": "MultiPolygon", "coordinates": [7]}', "a polygon is 7; expected a list of rings"),
        ('{"type": "FeatureCollection", "mpp": 0, "features": []}', "mpp is 0; expected microns per pixel"),
        ('{"type": "FeatureCollection", "mpp": NaN, "features": []}', "mpp is nan"),
        ('{"type": "FeatureCollection", "mpp": 1e300, "features": []}', r"mpp is 1e\+300"),
    ):
        path.write_text(text)
        with pytest.raises(RestainError, match=rf"t\.geojson: cannot be read as GeoJSON.*{words}|{words}"):
            read_mask(path, GRID, 0.5)
    for text in ("[]", '{"type": "Point", "coordinates": [1, 2]}', json.dumps(feature([box(0, 0, 9, 9)], "Ignore*"))):
        path.write_text(text)
        with pytest.raises(RestainError, match=r"t\.geojson: holds no polygon"):
            read_mask(path, GRID, 0.5)


def test_many_small_polygons_on_a_large_slide_take_no_time(tmp_path: Path) -> None:
    grid = Grid(Mpp(8.0), Size(6000, 4000))
    rings = [box(x, y, x + 3, y + 3) for x in range(0, 4000, 40) for y in range(0, 4000, 200)]
    write_json(tmp_path / "t.geojson", {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]})
    start = time.process_time()
    assert read_mask(tmp_path / "t.geojson", grid, 8.0).sum() == 9 * len(rings)
    assert time.process_time() - start < 5  # drawn into the whole mask, each would take milliseconds


def test_polygons_beyond_the_slide_are_clipped(tmp_path: Path) -> None:
    far, around = box(1e12, 1e12, 2e12, 2e12), box(-1e9, -1e9, 1e9, 1e9)
    write_json(tmp_path / "t.geojson", {"type": "MultiPolygon", "coordinates": [[far]]})
    assert not read_mask(tmp_path / "t.geojson", GRID, 8.0).any()
    write_json(tmp_path / "t.geojson", {"type": "MultiPolygon", "coordinates": [[far], [around]]})
    assert read_mask(tmp_path / "t.geojson", GRID, 8.0).all()
