"""Tables for papers: the numbers are those of the evaluations, and what does not compare is refused or marked."""

import csv
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import restain
from restain.errors import RestainError


@pytest.fixture
def two(evaluation: Path) -> list[Path]:
    """The evaluation of the fixture, and one of two other systems on the same images."""
    other = evaluation.parent / "second"
    shutil.copytree(evaluation, other)
    systems = json.loads((other / "summary.json").read_text())["systems"]
    better = {name: score | {"mean": 0.4, "ci95": [0.38, 0.42]} for name, score in systems["virtual"].items()}
    rows = (other / "per_image.csv").read_text()
    (other / "per_image.csv").write_text(rows.replace(",virtual,", ",ours_2,"))
    change(other, systems={"ours_2": better, "theirs": systems["virtual"]})
    return [evaluation, other]


def change(folder: Path, **fields: Any) -> None:
    path = folder / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_systems_of_several_evaluations_stand_in_one_table(two: list[Path]) -> None:
    text = restain.table(two)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert rows[0] == ["|", "SSIM ↑", "PSNR, dB ↑", "DAB mean OD error, OD ↓ |"]
    assert [row[0].strip("| ") for row in rows[1:]] == [
        "evaluation",
        "ours_2",
        "theirs",
        "*learn nothing*",
        "H&E unchanged",
    ]
    # 0.4 is the best SSIM and the worst error; the two equal ones share the place below
    assert rows[2][1] == "**0.400 [0.380, 0.420]**" and rows[1][1] == rows[3][1] == "<u>0.346 [0.312, 0.379]</u>"
    assert rows[1][3] == rows[3][3] == "**0.0123 [0.0101, 0.0145]** |" and rows[2][3] == "<u>0.400 [0.380, 0.420]</u> |"
    assert rows[5][1] == "0.411 [0.382, 0.433]"  # a baseline has no place, although it is the best
    assert text.startswith("**8 images (val), 40x64, protocol clean**")
    assert "95 % bootstrap interval (seed 7)" in text and "no intervals" not in text
    assert "Pixel size: 0.5 µm/px." in text


def test_latex_is_balanced_and_escapes_names(two: list[Path], tmp_path: Path) -> None:
    text = restain.table(two, out=tmp_path / "table.tex")
    assert (tmp_path / "table.tex").read_text() == text
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows if "multicolumn" not in row} == {3}
    assert r"ours\_2" in text and r"H\&E unchanged" in text and r"\textbf{0.400 [0.380, 0.420]}" in text
    assert text.count("{") == text.count("}")


def test_csv_has_plain_numbers(two: list[Path]) -> None:
    rows = list(csv.DictReader(io.StringIO(restain.table(two, format="csv", uncertainty="sd"))))
    assert [row["system"] for row in rows] == ["evaluation", "ours_2", "theirs", "H&E unchanged"]
    assert float(rows[0]["ssim"]) == 0.34567 and float(rows[0]["ssim_sd"]) == 0.1 and "ssim_low" not in rows[0]


def test_metrics_are_chosen_by_name_or_family(two: list[Path]) -> None:
    def columns(*metrics: str) -> list[str]:
        header = restain.table(two, format="csv", metrics=metrics, uncertainty="none").splitlines()[0]
        return header.split(",")

    assert columns("dab_mean_od_real")[2] == "dab_mean_od_real"  # described only, but asked for
    assert columns("stain")[2:] == ["ssim", "psnr", "dab_mean_od_error", "dab_iod_error", "note"]
    with pytest.raises(RestainError, match="metrics: 'fid' is in none of the evaluations; expected families"):
        restain.table(two, metrics=["fid"])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"protocol": "asp2023"}, "protocol is asp2023, not clean"),
        ({"n": 9}, "n is 9, not 8"),
        ({"mpp": 0.25}, "mpp is 0.25, not 0.5"),
        ({"protocol_settings": {"crop": 8}}, "the settings of the protocol differ"),
        ({"weights": {"fid": {"name": "other", "sha256": "0" * 64}}}, "the weights of fid differ"),
    ],
)
def test_what_does_not_compare_is_refused_or_marked(two: list[Path], fields: dict[str, Any], sentence: str) -> None:
    change(two[1], **fields)
    with pytest.raises(RestainError, match=f"second: does not compare with evaluation: {sentence}"):
        restain.table(two)
    text = restain.table(two, force=True)
    assert "| ours_2‡ | 0.400 [0.380, 0.420] |" in text and "| evaluation | 0.346" in text
    assert f"‡ second does not compare with the other rows: {sentence}." in text


def test_other_images_are_noticed_by_their_names(two: list[Path]) -> None:
    path = two[1] / "per_image.csv"
    path.write_text(path.read_text().replace("field_3", "field_30"))
    with pytest.raises(RestainError, match="the images have other names"):
        restain.table(two)


def test_a_table_without_intervals_says_so(evaluation: Path) -> None:
    systems = json.loads((evaluation / "summary.json").read_text())["systems"]
    without = {name: score | {"ci95": None} for name, score in systems["virtual"].items()}
    change(evaluation, systems={"virtual": without}, baselines={})
    assert "Mean over images; no intervals were computed." in restain.table(evaluation)


def test_minor_differences_stand_in_the_notes(two: list[Path]) -> None:
    change(two[1], seed=8)
    assert "Evaluations differ in seed: 7, 8." in restain.table(two)


def test_equal_names_and_bad_words_are_refused(two: list[Path], tmp_path: Path) -> None:
    with pytest.raises(RestainError, match="two systems are called 'evaluation'"):
        restain.table([two[0], two[0]])
    with pytest.raises(RestainError, match="no evaluation was given"):
        restain.table([])
    with pytest.raises(RestainError, match="format: is 'word'; expected one of markdown, latex, csv"):
        restain.table(two, format="word")  # type: ignore[arg-type]
    with pytest.raises(RestainError, match=r"scores\.docx: is no name for a table; expected \.md, \.tex, \.csv"):
        restain.table(two, out=tmp_path / "scores.docx")
