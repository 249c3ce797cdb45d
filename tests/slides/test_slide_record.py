"""One schema for what is written about a slide: what one side writes, the other reads; anything else is refused."""

from pathlib import Path
from typing import Any

import pytest
from small_slides import identity

from restain.errors import RestainError
from restain.files import write_json
from restain.slides.record import BatchSummary, MadeBy, Request, SlideRecord, read_record, read_summary


def request(**values: Any) -> Request:
    asked = {
        "slide": "s", "stainer": "a", "tissue": None, "mpp": None, "model_mpp": None, "norm": "slide", "tile": 64,
        "seams": "auto", "match_source": False, "stain_background": False, "lossless": False, "quality": 90,
        "precision": "auto",
    }  # fmt: skip
    return Request.model_validate(asked | values)


def record() -> SlideRecord:
    made_by = MadeBy(stain="ER", recipe="asp", source="a.svs", request=request(), identity=identity())
    return SlideRecord(slide="a.svs", output="a.ome.tif", status="stained", warnings=("one", "two"), made_by=made_by)


def test_records_come_back(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", record().model_dump(mode="json"))
    assert read_record(tmp_path / "a.json") == record()
    summary = BatchSummary(slides=(record(),))
    write_json(tmp_path / "summary.json", summary.model_dump(mode="json"))
    assert read_summary(tmp_path / "summary.json") == summary


def test_a_row_has_a_value_for_each_column() -> None:
    assert list(record().row()) == SlideRecord.columns()
    assert record().row()["warnings"] == "one; two"


def test_the_description_names_what_made_it() -> None:
    made_by = record().made_by
    assert made_by is not None
    assert made_by.description()["WeightsSHA256"] == "a" and made_by.description()["Source"] == "a.svs"
    assert "virtual stain, not a real IHC" in made_by.description()["Notice"]


def test_other_files_are_refused_by_name_and_field(tmp_path: Path) -> None:
    with pytest.raises(RestainError, match=r"absent\.json: no such file"):
        read_record(tmp_path / "absent.json")
    for content, where in ((b"{", "the file"), (b"{}", "slide"), (b'{"slides": [{"slide": 3}]}', "slides.0.slide")):
        (tmp_path / "a.json").write_bytes(content)
        read = read_summary if b"slides" in content else read_record
        with pytest.raises(RestainError, match=rf"a\.json: is not a \w+ that restain wrote \({where}: "):
            read(tmp_path / "a.json")


def test_requests_differ_in_the_fields_that_were_changed() -> None:
    assert request().differences(request()) == []
    assert request().differences(request(tile=128, stainer="b")) == ["stainer", "tile"]
