"""Slides whose pixels are known, and a viewer that serves them."""

from pathlib import Path

import pytest
from marked_slides import HE, IHC, marked, record_for
from small_slides import write_slide

import restain
from restain.files import write_json


@pytest.fixture(scope="session")
def result(tmp_path_factory) -> Path:
    """A folder of results: an H&E at 0.5 µm, its virtual stain at 1 µm, a record, a broken slide."""
    folder = tmp_path_factory.mktemp("view")
    source = write_slide(folder / "he" / "case.tif", marked(1200, 900, 0.5, HE), 0.5)
    output = write_slide(folder / "out" / "case.ome.tif", marked(1200, 900, 1.0, IHC), 1.0)
    record = record_for(source, output, warnings=("the resolutions differ by a factor of 2",))
    write_json(folder / "out" / "case.json", record.model_dump(mode="json"))
    (folder / "broken.tif").write_bytes(source.read_bytes()[:3000])
    return folder


@pytest.fixture(scope="session")
def viewer(result):
    with restain.view([result / "out"], port=0) as running:
        yield running
