import csv
import json
import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image

import restain
from restain.console.registration import print_pairs
from restain.data.layouts import find_pairs
from restain.images import read_rgb, write_png
from restain.registration import pairs_verb
from restain.registration.cutting import choose
from restain.registration.page import write_page
from restain.registration.slide_table import draw_splits, find_slide_pairs
from restain.registration.tiles import TileRow
from restain.stains import DAB, EOSIN, HEMATOXYLIN, separate

OPTIONS = restain.PairOptions(tile=128, mpp=2.0, val=0, test=0)


@pytest.fixture(scope="module", autouse=True)
def _registered_once():
    """The same two slides are registered once for all tests."""
    found, register = {}, pairs_verb.register_slides

    def remember(he, ihc, *, workers):
        key = he.path.read_bytes(), ihc.path.read_bytes()
        if key not in found:
            found[key] = register(he, ihc, workers=workers)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs_verb, "register_slides", remember)
        yield


@pytest.fixture(scope="module")
def made(slides, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    table = folder / "slides.csv"
    table.write_text(
        f"patient,he,ihc,stain,split\nP1,{slides[0]},{slides[1]},ER,train\nP2,{slides[0]},{folder / 'cut.tif'},ER,val\n"
    )
    (folder / "cut.tif").write_bytes(slides[1].read_bytes()[:30000])
    return table, restain.pairs(table, out=folder / "set", options=OPTIONS, workers=1)


def test_the_set_is_read_as_it_is(made):
    _, run = made
    manifest = find_pairs(run.out)
    records = manifest.pairs("train")
    rows = {row.name: row for row in run.rows if row.kept}
    assert {record.id for record in records} == set(rows)
    assert len(rows) >= 5
    for record in records:
        assert record.weight == pytest.approx(rows[record.id].weight, abs=1e-4)
        assert record.group == "P1"
        assert record.source.read().shape == record.target.read().shape == (128, 128, 3)


def test_tiles_lie_on_each_other(made):
    """Haematoxylin of both sides: correlated in place, and less so a few pixels away."""
    _, run = made
    here, away = [], []
    for record in find_pairs(run.out).pairs("train"):
        he = separate(record.source.read(), HEMATOXYLIN, EOSIN)[..., 0]
        ihc = separate(record.target.read(), HEMATOXYLIN, DAB)[..., 0]
        here.append(np.corrcoef(he[8:-8, 8:-8].ravel(), ihc[8:-8, 8:-8].ravel())[0, 1])
        away.append(np.corrcoef(he[8:-8, 8:-8].ravel(), ihc[8:-8, 14:-2].ravel())[0, 1])
    assert np.mean(here) > 0.4
    assert np.mean(away) < 0.6 * np.mean(here)


def test_a_bad_slide_does_not_stop_the_others(made, capsys):
    _, run = made
    assert [slide.name for slide in run.failed] == ["P2_ER"]
    assert "cut.tif" in run.failed[0].error
    print_pairs(run)
    text = capsys.readouterr().out
    assert "cut.tif" in text
    (line,) = (line for line in text.splitlines() if "│ P2_ER" in line)
    assert line.count("–") == 3 and "no" not in line  # neither turned nor mirrored: never registered
    assert "<td>–</td><td>–</td><td>–</td>" in (run.out / "pairs.html").read_text()


def test_a_rotation_of_nearly_nothing_has_no_sign(tmp_path, capsys):
    slide = pairs_verb.SlideOutcome("P1_ER", "train", residual_um=1.0, rotation_deg=-0.04)
    print_pairs(pairs_verb.PairsRun(tmp_path, (slide,), ()))
    text = capsys.readouterr().out + write_page(tmp_path, [], [asdict(slide)]).read_text()
    assert " 0.0 │" in text and "<td>0.0</td>" in text and "-0.0" not in text


def test_a_slide_without_a_pixel_size_names_the_column_for_it(slides, tmp_path):
    Image.fromarray(np.full((64, 64, 3), 200, np.uint8)).save(tmp_path / "bare.png")
    table = tmp_path / "slides.csv"
    table.write_text(f"patient,he,ihc,stain\nP1,bare.png,{slides[1]},ER\nP2,{slides[0]},bare.png,ER\n")
    failed = restain.pairs(table, out=tmp_path / "set", options=OPTIONS, workers=1).failed
    for slide, column in zip(failed, ("he_mpp", "ihc_mpp"), strict=True):
        assert (
            f"states no pixel size; give microns per pixel with the column {column} of a CSV for --slides"
            in slide.error
        )


@pytest.fixture
def three(slides, tmp_path, monkeypatch):
    """A table of three pairs of slides, and what mends the second; only tiles are written."""
    monkeypatch.setattr(pairs_verb, "write_registration", lambda *_: None)
    table, gone = tmp_path / "slides.csv", tmp_path / "gone.tif"
    gone.touch()
    rows = (f"P{number},{he},{slides[1]},ER\n" for number, he in enumerate((slides[0], gone, slides[0]), 1))
    table.write_text("patient,he,ihc,stain\n" + "".join(rows))
    return table, lambda: shutil.copyfile(slides[0], gone)


def _kept(run):
    """Tiles by slide, after a look at whether the same are on the disk."""
    names = sorted(row.name for row in run.rows if row.kept)
    assert names == sorted(path.stem for path in run.out.glob("trainA/*"))
    return [slide.kept for slide in run.slides]


@pytest.mark.parametrize(("limit", "kept"), [(1, [1, 0, 0]), (3, [1, 0, 2])])
def test_the_limit_holds_and_the_share_of_a_slide_that_fails_goes_to_the_others(three, tmp_path, limit, kept):
    run = restain.pairs(three[0], out=tmp_path / "set", options=replace(OPTIONS, limit=limit), workers=1)
    assert _kept(run) == kept


def test_the_limit_holds_where_a_run_is_continued(three, tmp_path, monkeypatch):
    """Stopped halfway through the last slide, whose share is smaller once the second slide can be read."""
    table, mend = three

    def stop(result, *_):
        if result.out.name == "P3_ER":
            raise KeyboardInterrupt

    def run(name):
        return restain.pairs(table, out=tmp_path / name, options=replace(OPTIONS, limit=3), workers=1)

    finished = run("finished")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pairs_verb, "write_registration", stop)
        run("set")
    shutil.copytree(tmp_path / "set", tmp_path / "same")
    for name in ("pairs.csv", "summary.json"):
        assert (run("same").out / name).read_text() == (finished.out / name).read_text()
    mend()
    assert _kept(run("set")) == [1, 1, 1]
    assert _kept(run("finished")) == [1, 0, 2]


def test_a_slide_that_fails_halfway_leaves_nothing(slides, tmp_path, monkeypatch):
    """The disk is full after the third picture."""
    from restain.registration import cutting

    written, write = [], cutting.write_png

    def full(path, pixels):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(path, pixels)

    monkeypatch.setattr(cutting, "write_png", full)
    table = tmp_path / "slides.csv"
    table.write_text(f"patient,he,ihc,stain\nP1,{slides[0]},{slides[1]},ER\n")
    run = restain.pairs(table, out=tmp_path / "set", options=OPTIONS, workers=1)
    assert "No space left" in run.failed[0].error
    assert written
    assert not any(path.exists() for path in written)


def test_every_tile_has_a_row_and_discarded_ones_a_reason(made):
    _, run = made
    with (run.out / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(run.rows)
    for row in rows:
        assert (row["kept"] == "1") == (row["reason"] == "") == (float(row["weight"]) > 0)
    assert json.loads((run.out / "summary.json").read_text())["kept"] == sum(row["kept"] == "1" for row in rows)
    assert "glass" in {row["reason"] for row in rows}


def test_the_page_holds_everything_itself(made):
    _, run = made
    html = (run.out / "pairs.html").read_text()
    assert "http" not in html
    assert html.count("data:image/jpeg") >= 5
    assert "cut.tif" in html


def test_again_changes_nothing_and_takes_no_registration(made, monkeypatch):
    table, run = made
    before = {path: path.stat().st_mtime_ns for path in run.out.glob("train?/*")}
    monkeypatch.setattr("restain.registration.cutting.cut_tiles", None)
    again = restain.pairs(table, out=run.out, options=OPTIONS, workers=1)
    assert {path: path.stat().st_mtime_ns for path in run.out.glob("train?/*")} == before
    assert [row.name for row in again.rows] == [row.name for row in run.rows]


def test_other_options_need_another_folder(made):
    table, run = made
    with pytest.raises(restain.RestainError, match="other options"):
        restain.pairs(table, out=run.out, options=restain.PairOptions(tile=256, mpp=2.0), workers=1)


def test_refining_a_shifted_set_brings_it_back(made, tmp_path):
    """Tiles of 128 pixels whose IHC was moved by (5, -4): the same IHC is found, and the H&E is untouched."""
    _, run = made
    for side in ("trainA", "trainB"):
        (tmp_path / "raw" / side).mkdir(parents=True)
    names = sorted(path.name for path in (run.out / "trainA").iterdir())[:3]
    for name in names:
        shutil.copy(run.out / "trainA" / name, tmp_path / "raw" / "trainA" / name)
        ihc = read_rgb(run.out / "trainB" / name)
        moved = np.pad(ihc, ((8, 8), (8, 8), (0, 0)), mode="reflect")[4:132, 13:141]
        write_png(tmp_path / "raw" / "trainB" / name, moved)
    options = restain.PairOptions(mpp=2.0, min_confidence=0.0, min_tissue=0.1)
    refined = restain.pairs(out=tmp_path / "out", refine=tmp_path / "raw", options=options, workers=1)
    kept = [row for row in refined.rows if row.kept]
    assert kept
    for row in kept:
        name = f"{row.name}.png"
        assert (tmp_path / "out" / "trainA" / name).read_bytes() == (tmp_path / "raw" / "trainA" / name).read_bytes()
        true = read_rgb(run.out / "trainB" / name)[16:-16, 16:-16].astype(float)
        raw, found = (
            np.abs(read_rgb(tmp_path / folder / "trainB" / name)[16:-16, 16:-16] - true).mean()
            for folder in ("raw", "out")
        )
        assert found < 0.7 * raw
    assert {record.id for record in find_pairs(tmp_path / "out").pairs("train")} == {row.name for row in kept}


def test_what_is_no_data_set_leaves_no_folder(tmp_path):
    (tmp_path / "junk").mkdir()
    with pytest.raises(restain.RestainError, match="no layout recognised"):
        restain.pairs(out=tmp_path / "out", refine=tmp_path / "junk", options=OPTIONS)
    assert not (tmp_path / "out").exists()


def test_slides_pair_up_by_name_and_by_folder(tmp_path):
    for name in ("P1_HE.svs", "P1_ER.svs", "P1-Ki67.svs", "x/HE/b.tif", "x/HER2/b.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {(pair.patient, pair.stain, pair.he.name, pair.ihc.name) for pair in find_slide_pairs(tmp_path)}
    assert found == {
        ("P1", "ER", "P1_HE.svs", "P1_ER.svs"),
        ("P1", "KI67", "P1_HE.svs", "P1-Ki67.svs"),
        ("x/b", "HER2", "b.tif", "b.tif"),
    }
    (tmp_path / "P9_HE.svs").touch()
    with pytest.raises(restain.RestainError, match=r"P9_HE.svs: has no IHC slide"):
        find_slide_pairs(tmp_path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("P1,a,b,ER,train\nP1,a,b,PR,val\n", "patient P1 is in the splits train and val"),
        ("P1,a,none,ER,\n", "ihc 'none' does not exist"),
        (",a,b,ER,\n", "patient is empty"),
        ("P1,a,b,ER,valid\n", "split is 'valid'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(rows, message, tmp_path):
    for name in "ab":
        (tmp_path / name).touch()
    table = tmp_path / "t.csv"
    table.write_text("patient,he,ihc,stain,split\n" + rows)
    with pytest.raises(restain.RestainError, match=message):
        restain.pairs(table, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_splits_are_by_patient(tmp_path):
    for name in "ab":
        (tmp_path / name).touch()
    table = tmp_path / "t.csv"
    rows = "".join(f"P{i % 10},a,b,M{i},\n" for i in range(30))
    table.write_text("patient,he,ihc,stain,split\n" + rows)
    pairs = find_slide_pairs(table)
    splits = draw_splits(pairs, 0.2, 0.1, seed=4)
    assert sorted(splits.values()) == ["test"] + ["train"] * 7 + ["val"] * 2
    assert splits == draw_splits(pairs[::-1], 0.2, 0.1, seed=4)
    assert len({pair.name for pair in pairs}) == 30


def _row(number: int, dab: float) -> TileRow:
    values = dict.fromkeys(TileRow.__dataclass_fields__, 0.0)
    return TileRow(**values | {"name": f"a_{number}", "dab_area": dab, "kept": True, "reason": "", "weight": 1.0})


def test_positivity_is_levelled():
    rows = [_row(i, 0.01 * (i % 3)) for i in range(40)] + [_row(100 + i, 0.9) for i in range(5)]
    kept = [row for row in choose(rows, None, restain.PairOptions(balance="dab")) if row.kept]
    assert sorted(row.dab_area > 0.5 for row in kept) == [False] * 5 + [True] * 5
    some = choose(rows, 7, restain.PairOptions())
    assert sum(row.kept for row in some) == 7
    assert {row.reason for row in some if not row.kept} == {"not chosen"}
    assert some == choose(rows, 7, restain.PairOptions())


def test_slides_or_a_set_but_not_both(tmp_path):
    with pytest.raises(restain.RestainError, match="either slides or"):
        restain.pairs(out=tmp_path / "out")
    with pytest.raises(restain.RestainError, match="is in the folder of the slides"):
        restain.pairs(tmp_path, out=tmp_path / "out")
    with pytest.raises(restain.RestainError, match="val and test"):
        restain.PairOptions(val=0.6, test=0.5)


def test_a_weight_that_is_none_is_refused(tmp_path, pairs):
    shutil.copytree(pairs, tmp_path / "set")
    name = next((tmp_path / "set" / "trainA").iterdir()).stem
    (tmp_path / "set" / "pairs.csv").write_text(f"name,split,patient,weight\n{name},train,P,1.5\n")
    with pytest.raises(restain.RestainError, match=r"weight is '1\.5'"):
        find_pairs(tmp_path / "set")
