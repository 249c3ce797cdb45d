"""An Aperio slide from the dry run to QuPath; then the same again, and with another stainer."""

import json
from pathlib import Path

import pytest
import torch
from small_slides import MPP, draw_tissue, write_svs
from typer.testing import CliRunner

from restain.cli import app
from restain.networks.specs import ResnetSpec
from restain.slides.record import read_record, read_summary
from restain.stainer import StainerCard
from restain.stainer_files import save_stainer
from restain.wsi.reader import open_slide


def command(*words: object, status: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == status, done.output
    return done.stdout


@pytest.fixture
def other_stainer(tmp_path: Path) -> Path:
    torch.manual_seed(7)
    generator = ResnetSpec(ngf=4, blocks=1, spectral_norm=False).build()
    save_stainer(tmp_path / "other", generator, StainerCard("HER2", MPP, 64, "none", {"steps": 0}))
    return tmp_path / "other"


def test_from_the_scanner_to_qupath(stainer_folder: Path, other_stainer: Path, tmp_path: Path) -> None:
    he = write_svs(tmp_path / "slides" / "case 1.svs", draw_tissue(480, 640))
    out = tmp_path / "virtual"
    target = out / "case 1.ome.tif"

    def slide(stainer: Path, *more: str) -> str:
        return command("slide", he.parent, "--stainer", stainer, "--out", out, "--tile", 256, "--device", "cpu", *more)

    told = slide(stainer_folder, "--dry-run")
    assert "1 slide, not stained" in told and "640 x 480" in told and "6 of 6" in told
    (estimate,) = json.loads(slide(stainer_folder, "--dry-run", "--json"))["estimates"]
    assert estimate["tiles"] == 6 and estimate["output"] == {"width": 640, "height": 480} and estimate["seconds"] > 0
    assert not out.exists()

    assert "stained" in slide(stainer_folder)
    first = read_record(out / "case 1.json")
    assert first.stain == "ER" and first.made_by and first.made_by.source == "case 1.svs"
    with open_slide(target) as virtual, open_slide(he) as source:
        assert virtual.mpp == pytest.approx(MPP) and virtual.levels[0].size == source.levels[0].size

    assert "readers agree" in command("check", target)
    assert "readers agree" in command("check", he)
    checked = json.loads(command("check", target, "--json"))
    assert checked["ok"] and {reader["reader"] for reader in checked["views"]} >= {"tifffile", "openslide"}

    script = (out / "qupath.groovy").read_text()
    for path in (he, target, out / "case 1.tissue.geojson"):
        assert f"'{path}'" in script
    assert "case 1.svs" in (out / "summary.html").read_text()

    written = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name.startswith("case")}
    (told_again,) = json.loads(slide(stainer_folder, "--json"))["slides"]
    assert told_again["status"] == "skipped" and told_again["tiles"] == 6
    assert written == {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.name.startswith("case")}
    (row,) = read_summary(out / "summary.json").slides
    assert row.status == "skipped" and row.seconds == first.seconds

    told = slide(other_stainer)
    assert "stained" in told and "made with another stainer" in told
    second = read_record(out / "case 1.json")
    assert second.stain == "HER2" and second.weights_sha256 != first.weights_sha256
    assert {name for name, time in written.items() if (out / name).stat().st_mtime_ns == time} == set()
    (row,) = read_summary(out / "summary.json").slides
    assert (row.stain, row.weights_sha256) == ("HER2", second.weights_sha256)
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
