"""What exists: the same is left alone, other results of restain are replaced, files of others are refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_slides import draw_tissue, write_slide
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.errors import RestainError
from restain.files import write_json
from restain.slides.options import SlideOptions
from restain.slides.record import SlideRecord, read_record, read_summary
from restain.slides.run.job import Job
from restain.slides.run.single import stain_slide
from restain.stainer import Stainer
from restain.stainer_files import load_stainer


@pytest.fixture
def small_slide(tmp_path: Path) -> Path:
    return write_slide(tmp_path / "slides" / "he.tif", draw_tissue(300, 420))


@pytest.fixture
def job(small_slide: Path, tmp_path: Path) -> Job:
    return Job(small_slide, tmp_path / "out" / "he.ome.tif")


@pytest.fixture(scope="module")
def stainer(stainer_folder: Path) -> Stainer:
    return load_stainer(stainer_folder)


IN_THE_WAY = "was not written by restain or is damaged; move or delete it, or name another folder for the results"


def stained(job: Job, stainer: Stainer, **options: Any) -> SlideRecord:
    return stain_slide(job, stainer, SlideOptions(**options), quiet=True)


def test_the_same_again_is_left_alone_and_keeps_its_row(job: Job, stainer: Stainer) -> None:
    first = stained(job, stainer)
    written = job.target.stat().st_mtime_ns
    again = stained(job, stainer)
    assert (first.status, again.status) == ("stained", "skipped")
    assert job.target.stat().st_mtime_ns == written
    assert again == first.model_copy(update={"status": "skipped"})
    assert stained(job, stainer, force=True).status == "skipped"  # moves no pixel
    moved = replace(job, target=job.target.parent.rename(job.target.parent.with_name("moved")) / job.target.name)
    assert stained(moved, stainer) == again.model_copy(update={"output": str(moved.target)})
    moved.target.parent.rename(job.target.parent)
    forced = stained(job, stainer, overwrite=True)
    assert forced.status == "stained" and not forced.warnings and job.target.stat().st_mtime_ns != written


def test_another_stainer_option_or_slide_is_stained_again_and_the_record_notes_it(job: Job, stainer: Stainer) -> None:
    stained(job, stainer)
    other = replace(stainer, weights_sha256="f" * 64)
    for made, options, words in (
        (other, {}, "made with another stainer"),
        (other, {"quality": 80}, "made with another quality"),
        (stainer, {"quality": 80, "tile": 128}, "made with another stainer, another tile"),
    ):
        record = stained(job, made, **options)
        assert record.status == "stained" and record.warnings[0].endswith(words)
        assert record.warnings[0].startswith("replaced an earlier result of 2")
        assert stained(job, made, **options).status == "skipped"
    write_slide(job.source, draw_tissue(300, 420))  # another file of the same pixels
    assert "another version of the slide" in stained(job, stainer, quality=80, tile=128).warnings[0]


@pytest.mark.parametrize("name", ["he.ome.tif", "he.json", "he.preview.png", "he.tissue.geojson"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_files_of_others_are_never_replaced(job: Job, stainer: Stainer, name: str, overwrite: bool) -> None:
    job.target.parent.mkdir()
    foreign = job.target.with_name(name)
    foreign.write_bytes(job.source.read_bytes() if name.endswith(".tif") else b"{}")
    before = foreign.read_bytes()
    record = stained(job, stainer, overwrite=overwrite)
    assert record.status == "failed"
    assert record.error == f"{foreign}: {IN_THE_WAY}"
    assert foreign.read_bytes() == before


def test_a_damaged_result_is_not_called_somebody_else_s(job: Job, stainer: Stainer) -> None:
    stained(job, stainer)
    job.target.write_bytes(job.target.read_bytes()[:-2000])
    assert stained(job, stainer).error == f"{job.target}: {IN_THE_WAY}"


def test_a_summary_of_others_is_never_replaced(job: Job, stainer_folder: Path) -> None:
    out = job.target.parent
    write_json(out / "summary.json", {"mine": True})
    with pytest.raises(RestainError, match=r"summary\.json: was not written by restain"):
        restain.slide(stainer_folder, job.source, out)
    (out / "summary.json").rename(out / "summary.csv")
    with pytest.raises(RestainError, match=r"summary\.csv: was not written by restain"):
        restain.slide(stainer_folder, job.source, out)
    assert not job.target.exists()


def test_slides_are_named_by_arguments_or_options(job: Job, stainer_folder: Path, tmp_path: Path) -> None:
    other = write_slide(tmp_path / "slides" / "b.tif", draw_tissue(100, 100))
    common = ["slide", "--stainer", str(stainer_folder), "--out", str(job.target.parent), "--device", "cpu"]
    done = CliRunner().invoke(app, [*common, str(job.source), "--input", str(other)])
    assert done.exit_code == 0, done.output
    records = read_summary(job.target.parent / "summary.json").slides
    assert [Path(record.slide).name for record in records] == ["b.tif", "he.tif"]
    done = CliRunner().invoke(app, [*common, str(job.source)])
    assert done.exit_code == 0 and "skipped" in done.output
    assert read_record(job.beside(".json")).status == "stained"
