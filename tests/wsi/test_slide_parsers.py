"""Property tests: whatever a slide's description or a GeoJSON file holds, nothing comes out but a RestainError."""

import json
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restain.errors import RestainError, printable
from restain.types import Mpp
from restain.wsi.check.checking import check
from restain.wsi.geojson import read_mask
from restain.wsi.geometry import Grid, Region, Size
from restain.wsi.reader import open_slide

FEW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
RGB = np.full((32, 48, 3), 200, dtype=np.uint8)
NUMBERS = st.integers() | st.floats() | st.sampled_from(["0.5", "-1", "nan", "1e999", "", "0", "9" * 400])
APERIO = st.lists(
    st.sampled_from(["Aperio Image Library", "|", "MPP = ", "AppMag = ", "\n", "48x32 (32x32)"]) | NUMBERS
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(
        ["SizeX", "SizeY", "PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeXUnit", "Type", "DimensionOrder"]
    ),
    NUMBERS | st.sampled_from(["48", "32", "µm", "parsec", "uint8", "XYZCT"]),
)
PAIRS = st.lists(NUMBERS | st.none(), min_size=0, max_size=3)
GEOMETRY = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["Polygon", "MultiPolygon", "GeometryCollection", "Feature", "FeatureCollection"])
        | NUMBERS,
        "coordinates": st.lists(st.lists(PAIRS | NUMBERS, max_size=5) | NUMBERS, max_size=3) | NUMBERS,
        "mpp": NUMBERS | st.lists(NUMBERS, max_size=1),
        "properties": st.none() | NUMBERS | st.dictionaries(st.just("classification"), NUMBERS | st.none()),
    },
)
GEOJSON = st.recursive(
    GEOMETRY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda one, key, held: {**one, key: held},
            GEOMETRY,
            st.sampled_from(["features", "geometry", "geometries"]),
            inner,
        )
    ),
    max_leaves=6,
)


def is_sentence(error: RestainError, path: Path) -> bool:
    return str(error).startswith(str(path)) and printable(str(error)) == str(error)


def describe(path: Path, description: str) -> Path:
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(32, 32), description=description.encode(), metadata=None)
    return path


def read_all(path: Path) -> None:
    try:
        with open_slide(path) as slide:
            assert slide.read_level(0, Region(0, 0, 48, 32)).shape == (32, 48, 3)
    except RestainError as error:
        assert is_sentence(error, path)
    try:
        check(path)
    except RestainError as error:
        assert is_sentence(error, path)


@FEW
@given(APERIO)
def test_aperio_s_description(tmp_path: Path, parts: list[object]) -> None:
    read_all(describe(tmp_path / "he.svs", "Aperio " + "".join(map(str, parts))))


@FEW
@given(ATTRIBUTES, ATTRIBUTES, st.booleans())
def test_ome_xml(tmp_path: Path, image: dict[str, object], pixels: dict[str, object], whole: bool) -> None:
    def tag(name: str, attributes: dict[str, object]) -> str:
        return f"<{name} " + " ".join(f'{key}="{value}"' for key, value in attributes.items()) + ">"

    name = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    xml = f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{name}">{tag("Image", image)}{tag("Pixels", pixels)}'
    read_all(describe(tmp_path / "he.ome.tif", xml + ("</Pixels></Image></OME>" if whole else "")))


@settings(FEW, max_examples=150)
@given(GEOJSON)
def test_geojson(tmp_path: Path, content: object) -> None:
    path = tmp_path / "t.geojson"
    path.write_text(json.dumps(content))
    try:
        assert read_mask(path, Grid(Mpp(8.0), Size(20, 10)), 0.5).shape == (10, 20)
    except RestainError as error:
        assert is_sentence(error, path)
