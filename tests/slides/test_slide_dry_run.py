"""A dry run refuses what the run refuses, lists what the run lists, and writes nothing."""

from pathlib import Path

import pytest
from click.testing import Result
from small_slides import draw_tissue, write_slide
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.errors import RestainError
from restain.slides.run.estimate import estimate_slides


@pytest.fixture
def slides(tmp_path: Path) -> Path:
    write_slide(tmp_path / "slides" / "he.tif", draw_tissue(100, 100))
    return tmp_path / "slides"


def dry_run(stainer: Path, slides: Path, out: Path) -> Result:
    words = ["slide", str(slides), "--stainer", str(stainer), "--out", str(out), "--device", "cpu", "--dry-run"]
    return CliRunner().invoke(app, words)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workers": 3}, "workers is 3 with engine local"),
        ({"engine": "ray", "devices": 2}, "devices is 2 with engine ray"),
        ({"engine": "slurm"}, "engine is 'slurm'"),
        ({"devices": 1000}, "devices is 1000"),
        ({"out": "file"}, "file: is a file; expected a folder for the results"),
        ({"out": "file/below"}, "file: is a file; expected a folder for the results"),
        ({"out": "taken"}, r"summary\.csv: was not written by restain"),
        ({"options": restain.SlideOptions(tile=65)}, "tile is 65"),
    ],
)
def test_what_the_run_refuses_the_dry_run_refuses(
    stainer_folder: Path, slides: Path, tmp_path: Path, given: dict[str, object], words: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "summary.csv").touch()
    arguments = {"device": "cpu", **given, "out": tmp_path / str(given.get("out", "out"))}
    for verb in (restain.slide, estimate_slides):
        with pytest.raises(RestainError, match=words):
            verb(stainer_folder, slides, **arguments)
    assert not (tmp_path / "out").exists()


def test_workers_of_another_engine_are_refused_by_the_command(stainer_folder: Path, slides: Path) -> None:
    words = ["slide", str(slides), "--stainer", str(stainer_folder), "--out", "out", "--workers", "3", "--dry-run"]
    with pytest.raises(RestainError, match="workers is 3 with engine local"):
        CliRunner().invoke(app, words, catch_exceptions=False)


def test_a_file_of_others_in_the_way_is_refused(stainer_folder: Path, slides: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "he.ome.tif").write_bytes((slides / "he.tif").read_bytes())
    done = dry_run(stainer_folder, slides, tmp_path / "out")
    assert done.exit_code == 1 and "refused" in done.output
    assert "he.ome.tif: was not written by restain or is damaged" in done.output


def test_a_resolution_that_is_refused_is_not_called_unreadable(stainer_folder: Path, tmp_path: Path) -> None:
    write_slide(tmp_path / "slides" / "he.tif", draw_tissue(100, 100), mpp=None)
    done = dry_run(stainer_folder, tmp_path / "slides", tmp_path / "out")
    assert done.exit_code == 1 and "refused" in done.output and "cannot be read" not in done.output
    assert "1 slide, not stained" in done.output


def test_what_is_no_slide_is_listed(stainer_folder: Path, slides: Path, tmp_path: Path) -> None:
    for name in ("Thumbs.db", "notes.docx"):
        (slides / name).touch()
    done = dry_run(stainer_folder, slides, tmp_path / "out")
    assert done.exit_code == 0 and "ignored, not slides by their names: Thumbs.db, notes.docx" in done.output


def test_slides_of_one_name_are_told_apart(stainer_folder: Path, tmp_path: Path) -> None:
    for place in ("s.tif", "x/s.tif", "y/s.tif"):
        write_slide(tmp_path / "slides" / place, draw_tissue(100, 100), mpp=None if place == "y/s.tif" else 0.6)
    done = dry_run(stainer_folder, tmp_path / "slides", tmp_path / "out")
    for start in ("│ s.tif ", "│ x/s.tif ", "│ y/s.tif ", "s.tif: ", "x/s.tif: "):
        assert any(line.startswith(start) for line in done.output.splitlines()), done.output


def test_a_dry_run_of_an_unreadable_slide_fails(stainer_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_bytes(b"II*\0nothing")
    arguments = ["slide", "--stainer", str(stainer_folder), "--out", str(tmp_path / "out"), "--dry-run"]
    done = CliRunner().invoke(app, [*arguments, str(tmp_path / "bad.tif")])
    assert done.exit_code == 1 and "bad.tif: cannot be opened as a slide" in done.output
    assert not (tmp_path / "out").exists()
