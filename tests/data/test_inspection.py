import csv
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from restain.cli import app
from restain.console.inspection import print_inspection
from restain.data.inspection import inspect
from restain.errors import RestainError


@pytest.fixture
def data_set(write_image, tmp_path):
    """Three sound training pairs and one for validation, MIST names of four slides."""
    for index, name in enumerate(("trainA/1M1_0_0", "trainA/2M1_0_0", "trainA/3M1_0_0", "valA/4M1_0_0")):
        write_image(f"{name}.png", seed=index, size=(80, 80))
        write_image(f"{name.replace('A/', 'B/')}.png", seed=100 + index, size=(80, 80))
    return tmp_path


def _warnings(inspection):
    return " | ".join(w for w in inspection.warnings if "share hardly any nuclei" not in w)


def test_a_sound_set_can_train(data_set, tmp_path):
    out = tmp_path / "report"
    found = inspect(data_set, out)
    assert found.can_train and not found.errors and _warnings(found) == ""
    summary = json.loads((out / "inspection.json").read_text())
    train = summary["splits"]["train"]
    assert summary["layout"] == "mist" and summary["can_train"] is True
    assert (train["pairs"], train["source_only"], train["groups"]) == (3, 0, 3)
    assert train["sizes_height_x_width"] == {"80x80": 6}
    rows = list(csv.DictReader((out / "inspection.csv").open()))
    assert [row["id"] for row in rows] == ["1M1_0_0", "2M1_0_0", "3M1_0_0", "4M1_0_0"]
    assert rows[0]["group"] == "1M1" and rows[0]["error"] == "" and float(rows[0]["confidence"]) >= 0


def test_a_truncated_file_stops_training_but_not_the_inspection(data_set):
    path = data_set / "trainB/2M1_0_0.png"
    path.write_bytes(path.read_bytes()[:2000])
    found = inspect(data_set)
    assert not found.can_train
    assert len(found.errors) == 1 and "trainB/2M1_0_0.png" in found.errors[0]
    assert [bool(pair.alignment) for pair in found.of("train")] == [True, False, True]


def test_a_broken_test_image_is_a_warning(data_set, write_image):
    write_image("testA/5M1_0_0.png")
    (data_set / "testB").mkdir()
    (data_set / "testB/5M1_0_0.png").write_bytes(b"nothing")
    found = inspect(data_set)
    assert found.can_train and "testB/5M1_0_0.png" in _warnings(found)


def test_suffix_may_lie(data_set, write_image):
    write_image("trainA/5M1_0_0.png", seed=50, size=(80, 80), content="JPEG")
    write_image("trainB/5M1_0_0.jpg", seed=51, size=(80, 80), content="PNG")
    assert inspect(data_set).can_train


def test_missing_partners_are_named_and_only_both_pools_can_train(data_set):
    (data_set / "trainB/2M1_0_0.png").unlink()
    found = inspect(data_set)
    assert found.can_train
    assert "split train: 1 images have no partner, so only unpaired use: 2M1_0_0" in _warnings(found)
    for path in (data_set / "trainB").iterdir():
        path.unlink()
    assert inspect(data_set).errors == ("split train has no IHC image",)


def test_duplicates_across_splits_and_within_one(data_set):
    (data_set / "valA/9M1_0_0.png").write_bytes((data_set / "trainA/1M1_0_0.png").read_bytes())
    (data_set / "trainB/2M1_0_0.png").write_bytes((data_set / "trainB/3M1_0_0.png").read_bytes())
    text = _warnings(inspect(data_set))
    assert "1 images are there more than once in different splits" in text
    assert "trainA/1M1_0_0.png" in text and "valA/9M1_0_0.png" in text
    assert "1 images are there more than once within a split" in text


def test_a_slide_in_two_splits_leaks(data_set, write_image):
    for side, seed in (("A", 60), ("B", 61)):
        write_image(f"val{side}/1M1_4_4.png", seed=seed, size=(80, 80))
    assert "1 of 4 groups (slides or fields) are in more than one split" in _warnings(inspect(data_set))


def test_unequal_sizes_and_a_crop_that_does_not_fit_are_errors(data_set, write_image):
    write_image("trainA/5M1_0_0.png", size=(70, 90))
    write_image("trainB/5M1_0_0.png", size=(70, 80))
    errors = inspect(data_set, crop=72).errors
    assert "sizes are 70 x 90 and 70 x 80; a pair must have one size" in errors[0]
    assert [error.split(": ")[1] for error in errors[1:]] == [
        "is 70 x 90 pixels, smaller than the crop, 72",
        "is 70 x 80 pixels, smaller than the crop, 72",
    ]


def test_no_training_split_is_an_error_and_no_layout_is_raised(write_image, tmp_path):
    for side in ("HE", "IHC"):
        write_image(f"data/{side}/test/a.png")
    assert inspect(tmp_path / "data").errors == ("no split train; found test",)
    with pytest.raises(RestainError, match="no layout recognised"):
        inspect(tmp_path)


def test_the_verdict_does_not_depend_on_the_number_of_threads(data_set, tmp_path):
    for workers in (1, 4):
        inspect(data_set, tmp_path / str(workers), workers=workers)
    for name in ("inspection.json", "inspection.csv"):
        assert (tmp_path / "1" / name).read_text() == (tmp_path / "4" / name).read_text()


def test_the_table_shows_counts_and_problems(data_set, capsys):
    (data_set / "valB/4M1_0_0.png").unlink()
    print_inspection(inspect(data_set), Console(width=100, highlight=False))
    text = capsys.readouterr().out
    assert "layout mist" in text and "80x80 (6)" in text
    assert "only unpaired use: 4M1_0_0" in text and "Training can start." in text


def test_the_rest_of_many_errors_is_where_it_is_said_to_be(write_image, tmp_path):
    for index in range(12):
        for side in "AB":
            write_image(f"data/train{side}/{index}.png", seed=index)
    words = ["data", "inspect", str(tmp_path / "data"), "--crop", "64"]  # 24 images are smaller
    assert "error: 4 more; --out DIR writes them all\n" in CliRunner().invoke(app, words).stdout
    written = CliRunner().invoke(app, [*words, "--out", str(tmp_path / "out")])
    assert "error: 4 more in inspection.json\n" in written.stdout
