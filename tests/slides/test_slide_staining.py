"""A slide in, a virtual slide out: pixel for pixel in register, whatever the tiles and however often it was killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from filelock import FileLock
from small_slides import MPP, Identity, write_slide
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.errors import RestainError
from restain.images import RGB, read_rgb
from restain.slides.options import SlideOptions
from restain.slides.record import SlideRecord, read_record, read_summary
from restain.slides.run import single
from restain.slides.run.job import list_jobs
from restain.wsi.geometry import Region
from restain.wsi.reader import open_slide
from restain.wsi.resample import read_region


def finest(path: Path) -> RGB:
    return np.asarray(tifffile.imread(path))


def test_everything_about_a_slide_is_there(he_slide: Path, stainer_folder: Path, tmp_path: Path) -> None:
    run = restain.slide(stainer_folder, he_slide, tmp_path / "out", options=SlideOptions(tile=256))
    (record,) = run.records
    assert record.status == "stained" and not run.failed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    own = {"he.ome.tif", "he.json", "he.thumbnail.png", "he.preview.png", "he.tissue.geojson"}
    assert names == own | {"summary.csv", "summary.json", "summary.html", "qupath.groovy"}  # no journal, no lock
    with open_slide(tmp_path / "out" / "he.ome.tif") as slide:
        assert (slide.levels[0].height, slide.levels[0].width) == (700, 1000)
        assert slide.mpp == pytest.approx(MPP)
    description = tifffile.TiffFile(tmp_path / "out" / "he.ome.tif").ome_metadata
    assert description is not None
    card = json.loads((stainer_folder / "config.json").read_text())
    for expected in ("virtual stain, not a real IHC", card["weights_sha256"], "he.tif"):
        assert expected in description
    assert read_summary(tmp_path / "out" / "summary.json").slides == run.records
    full = read_record(tmp_path / "out" / "he.json")
    assert full.made_by is not None and full.made_by.identity.weights_sha256 == card["weights_sha256"]
    assert full.model_copy(update={"made_by": None}) == record
    (row,) = csv.DictReader((tmp_path / "out" / "summary.csv").open())
    assert float(row["tissue_mm2"]) == pytest.approx(record.tissue_mm2)
    # Of the two discs that were drawn, radius 0.22 and 0.18 of the sides, little is lost.
    area = np.pi * (0.22**2 + 0.18**2) * 0.7 * 1.0 * MPP**2
    assert record.tissue_mm2 == pytest.approx(area, rel=0.08)
    assert record.seam_score == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(("norm", "precision"), [("slide", "bf16"), ("local", "32")])
def test_the_result_does_not_depend_on_the_tiles(
    he_slide: Path, stainer_folder: Path, tmp_path: Path, norm: str, precision: str
) -> None:
    found = []
    for tile in (128, 200, 1024):
        out = tmp_path / str(tile)
        options = SlideOptions(norm=norm, tile=tile, lossless=True, precision=precision)  # type: ignore[arg-type]
        restain.slide(stainer_folder, he_slide, out, options=options)
        found.append(finest(out / "he.ome.tif").astype(int))
    assert found[0].std() > 10
    for other in found[1:]:
        assert np.abs(other - found[0]).max() <= 1


@pytest.mark.parametrize("mpp", [MPP, 2 * MPP, 0.7])
def test_pixels_lie_where_the_h_and_e_has_them(
    he_slide: Path, stainer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mpp: float
) -> None:
    monkeypatch.setattr(single, "SlideStainer", Identity)
    options = SlideOptions(model_mpp=mpp, tile=128, stain_background=True, lossless=True)
    restain.slide(stainer_folder, he_slide, tmp_path / "out", options=options)
    with open_slide(he_slide) as slide:
        height, width = round(700 * MPP / mpp), round(1000 * MPP / mpp)
        expected = read_region(slide, Region(0, 0, width, height), mpp)
    np.testing.assert_array_equal(finest(tmp_path / "out" / "he.ome.tif"), expected)


def test_match_source_gives_the_h_and_e_s_own_grid(
    he_slide: Path, he_image: RGB, stainer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single, "SlideStainer", Identity)
    options = SlideOptions(model_mpp=0.7, tile=128, stain_background=True, lossless=True, match_source=True)
    restain.slide(stainer_folder, he_slide, tmp_path / "out", options=options)
    with open_slide(tmp_path / "out" / "he.ome.tif") as slide:
        assert slide.mpp == pytest.approx(MPP)
    found = finest(tmp_path / "out" / "he.ome.tif")
    assert found.shape == he_image.shape

    def shifted(down: int, right: int) -> float:
        inner = he_image[8:-8, 8:-8].astype(float)
        moved = np.roll(found.astype(float), (down, right), (0, 1))[8:-8, 8:-8]
        return float(np.abs(inner - moved).mean())

    nearest = min((shifted(down, right), down, right) for down in (-1, 0, 1) for right in (-1, 0, 1))
    assert nearest[1:] == (0, 0)
    assert np.abs(found[-1].astype(float) - found[-2]).mean() < 20  # no white line at the border
    assert np.abs(found[:, -1].astype(float) - found[:, -2]).mean() < 20


COMMAND = [sys.executable, "-m", "restain.cli", "slide", "--tile", "64"]


def test_killed_again_and_again_it_ends_in_the_same_bytes(he_slide: Path, stainer_folder: Path, tmp_path: Path) -> None:
    restain.slide(stainer_folder, he_slide, tmp_path / "whole", options=SlideOptions(tile=64))
    out = tmp_path / "out"
    command = [*COMMAND, "--stainer", str(stainer_folder), "--input", str(he_slide), "--out", str(out)]
    tiles, target = out / ".he.unfinished" / "tiles", out / "he.ome.tif"
    random = np.random.default_rng(0)
    seen, killed = 0, 0
    for _ in range(3):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        enough = seen + int(random.integers(3, 25))
        while process.poll() is None and (len(list(tiles.glob("0*"))) if tiles.exists() else 0) < enough:
            time.sleep(0.005)
        time.sleep(float(random.uniform(0, 0.01)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += process.returncode == -signal.SIGKILL and not target.exists()
        seen = len(list(tiles.glob("0*"))) if tiles.exists() else seen
    assert killed >= 1
    if not target.exists():
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert target.read_bytes() == (tmp_path / "whole" / "he.ome.tif").read_bytes()
    assert not (out / ".he.unfinished").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_scheduler_s_signal_stops_as_ctrl_c_does(
    he_slide: Path, stainer_folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    command = [*COMMAND, "--stainer", str(stainer_folder), "--input", str(he_slide), "--out", str(out)]
    usual = signal.signal(number, signal.SIG_DFL)  # where these tests run under nohup, SIGHUP would stay ignored
    try:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    finally:
        signal.signal(number, usual)
    tiles = out / ".he.unfinished" / "tiles"
    while process.poll() is None and not (tiles.exists() and len(list(tiles.glob("0*"))) > 2):
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "restain: stopped; the same command continues from here"
    assert list(tiles.glob("0*")) and not (out / "he.ome.tif").exists() and not (out / ".he.lock").exists()


def test_one_bad_slide_does_not_stop_the_others(he_slide: Path, stainer_folder: Path, tmp_path: Path) -> None:
    folder = he_slide.parent
    write_slide(folder / "unscaled.tif", read_rgb(he_slide), mpp=None)
    (folder / "truncated.tif").write_bytes(he_slide.read_bytes()[:20_000])
    (folder / "notes.txt").write_text("mixed in")
    command = [*COMMAND, "--stainer", str(stainer_folder), "--input", str(folder), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 1
    assert "unscaled.tif: states no pixel size; give microns per pixel with --mpp" in done.stdout
    records = {Path(row["slide"]).name: row for row in csv.DictReader((tmp_path / "out" / "summary.csv").open())}
    assert {name: row["status"] for name, row in records.items()} == {
        "he.tif": "stained",
        "truncated.tif": "failed",
        "unscaled.tif": "failed",
    }
    assert "truncated.tif" in records["truncated.tif"]["error"]


def test_a_slide_in_work_is_left_alone(he_slide: Path, stainer_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with FileLock(tmp_path / "out" / ".he.lock"):
        (record,) = restain.slide(stainer_folder, he_slide, tmp_path / "out").records
        done = CliRunner().invoke(
            app, ["slide", str(he_slide), "--stainer", str(stainer_folder), "--out", str(tmp_path / "out")]
        )
    assert record.status == "busy"
    assert done.exit_code == 1 and "another process is staining it" in done.output
    assert not (tmp_path / "out" / "he.ome.tif").exists()


def test_resolutions_that_do_not_fit(he_slide: Path, stainer_folder: Path, tmp_path: Path) -> None:
    def record(**options: object) -> SlideRecord:
        return restain.slide(stainer_folder, he_slide, tmp_path / "out", options=SlideOptions(**options)).records[0]  # type: ignore[arg-type]

    assert "more than a factor of 2 apart (--force" in record(model_mpp=0.2).error
    assert "0.6 µm/px, and the stainer was trained at 0.5" in record(model_mpp=0.6).warnings[0]
    assert "coarser (0.7 µm/px)" in record(mpp=0.7).warnings[0]
    assert "1.1 µm/px at its finest, and the stainer works at 0.5" in record(mpp=1.1).error
    assert record(mpp=1.1, force=True).status == "stained"


def test_glass_alone_is_plain_white(stainer_folder: Path, tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "empty.tif", np.full((300, 400, 3), 240, dtype=np.uint8))
    (record,) = restain.slide(stainer_folder, slide, tmp_path / "out", options=SlideOptions(lossless=True)).records
    assert record.status == "stained" and "no tissue was found" in record.warnings[0]
    assert (finest(tmp_path / "out" / "empty.ome.tif") == 240).all()


def test_a_full_disk_is_one_sentence_and_nothing_is_lost(he_slide: Path, stainer_folder: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        command = [*COMMAND, "--stainer", str(stainer_folder), "--input", str(he_slide), "--out", str(disk)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
        )
        assert done.returncode in (1, 2)
        assert "No space left on device" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert not (disk / "he.ome.tif").exists()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_names_that_would_meet_are_refused(he_slide: Path, tmp_path: Path) -> None:
    write_slide(he_slide.with_suffix(".tiff"), np.full((64, 64, 3), 200, dtype=np.uint8))
    with pytest.raises(RestainError, match="would both be written to"):
        list_jobs(he_slide.parent, tmp_path)


def test_folders_keep_their_structure_and_results_are_no_input(he_slide: Path, tmp_path: Path) -> None:
    folder = he_slide.parent
    write_slide(folder / "case" / "b.ome.tif", np.full((64, 64, 3), 200, dtype=np.uint8))
    write_slide(folder / "out" / "he.ome.tif", np.full((64, 64, 3), 200, dtype=np.uint8))
    jobs = list_jobs(folder, folder / "out").jobs
    assert {job.target for job in jobs} == {folder / "out" / "he.ome.tif", folder / "out" / "case" / "b.ome.tif"}


def test_a_wrong_weight_hash_is_refused_before_anything_is_written(
    he_slide: Path, stainer_folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    for name in ("model.safetensors", "config.json"):
        (bad / name).write_bytes((stainer_folder / name).read_bytes())
    config = json.loads((bad / "config.json").read_text())
    (bad / "config.json").write_text(json.dumps(config | {"weights_sha256": "0" * 64}))
    for engine in ("local", "ray"):
        with pytest.raises(RestainError, match="has SHA-256"):
            restain.slide(bad, he_slide, tmp_path / "out", engine=engine)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
