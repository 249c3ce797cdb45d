"""A researcher's way with a data set in MIST's layout: inspect, train, stain, evaluate, table, report."""

import csv
import json
from pathlib import Path

import pytest
from small import FAST, write_pairs
from typer.testing import CliRunner

from restain.cli import app
from restain.evaluation.schema import read_summary
from restain.stainer_files import load_stainer
from restain.staining_record import origin_of


def restain(*words: object) -> str:
    """Run a command; what it prints on standard output."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """As MIST is laid out and named: HER2/TrainValAB/trainA/2M2103457_10_9.png."""
    root = write_pairs(tmp_path / "HER2" / "TrainValAB", train=6, val=8, size=64)
    for split in ("trainA", "trainB", "valA", "valB"):
        for index, path in enumerate(sorted((root / split).iterdir())):
            path.rename(path.with_name(f"{index % 3 + 1}M2103457_{index}_9.png"))
    return root


def test_from_a_folder_of_mist_to_a_table_and_a_page(data: Path, tmp_path: Path) -> None:
    found = json.loads(restain("data", "inspect", data, "--json"))
    assert found["can_train"] and found["layout"] == "mist" and found["splits"]["val"]["pairs"] == 8

    run, virtual, out = tmp_path / "run", tmp_path / "virtual", tmp_path / "evaluation"
    small = [word for override in (*FAST, "data.stain=HER2", "data.mpp=0.4661") for word in ("--set", override)]
    training = ("train", "--data", data, "--out", run, "--recipe", "tiny", "--device", "cpu", *small)
    assert "Nothing was written." in restain(*training, "--dry-run") and not run.exists()
    assert f"stainer: {run / 'stainer'}" in restain(*training)

    assert "8 written, 0 unchanged, 0 failed" in restain("stain", "--stainer", run, data / "valA", "--out", virtual)
    assert "0 written, 8 unchanged" in restain("stain", "--stainer", run, data / "valA", "--out", virtual)
    stainer = load_stainer(run)
    assert all(origin.stainer == stainer.identity for path in virtual.glob("*.png") if (origin := origin_of(path)))

    restain("evaluate", "--real", data / "valB", "--fake", f"ours={virtual}", "--source", data / "valA", "--out", out,
            "--metrics", "ssim,stain,place")  # fmt: skip
    summary = read_summary(out / "summary.json")
    assert summary.stainers["ours"].weights_sha256 == stainer.weights_sha256
    assert (summary.data_set, summary.split, summary.mpp, summary.marker, summary.n) == (
        "mist-her2",
        "val",
        0.4661,
        "membrane",
        8,
    )
    assert summary.groups.count == 3  # slides, by the names

    table = restain("table", out, "--metrics", "ssim,dab_mean_od_error")
    mean = summary.systems["ours"]["ssim"].mean
    assert table.startswith("**8 images of mist-her2 (val), 64x64, protocol clean**") and f"{mean:.4f}" in table
    restain("table", out, "--out", tmp_path / "table.csv", "--metrics", "ssim")
    rows = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert [row["system"] for row in rows] == ["ours", "H&E unchanged"] and float(rows[0]["ssim"]) == pytest.approx(
        mean
    )

    page = tmp_path / "page.html"
    restain("report", "--run", run, "--evaluation", out, "--out", page)
    text = page.read_text()
    assert "Virtual HER2 stain" in text and "Can this be used?" in text and "8 fields of 3 slides" in text
    assert "belong together" not in text and "is not recorded" not in text and str(tmp_path) not in text


def test_a_retrained_stainer_is_noticed(data: Path, tmp_path: Path) -> None:
    """The images of the first training are replaced, and its evaluation is no longer that of the run."""
    small = [word for override in (*FAST, "optim.steps=2", "validation.every=0") for word in ("--set", override)]
    runs = [tmp_path / "first", tmp_path / "second"]
    for seed, run in enumerate(runs):
        restain(
            "train",
            "--data",
            data,
            "--out",
            run,
            "--recipe",
            "tiny",
            "--device",
            "cpu",
            *small,
            "--set",
            f"seed={seed}",
        )
    virtual, out = tmp_path / "virtual", tmp_path / "evaluation"
    restain("stain", "--stainer", runs[0], data / "valA", "--out", virtual)
    restain("evaluate", "--real", data / "valB", "--fake", virtual, "--out", out, "--metrics", "ssim")
    restain("report", "--run", runs[0], "--evaluation", out, "--out", tmp_path / "page.html")
    refused = CliRunner().invoke(
        app, ["report", "--run", str(runs[1]), "--evaluation", str(out), "--out", str(tmp_path / "other.html")]
    )
    assert "do not belong together" in str(refused.exception) and not (tmp_path / "other.html").exists()
    again = restain("stain", "--stainer", runs[1], data / "valA", "--out", virtual)
    assert "8 written (8 of them replace different ones), 0 unchanged" in again
