import csv
import json

import numpy as np
import pytest
from small_slides import write_slide
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.phantoms.dots import draw_sections
from restain.registration.transform import Transform


@pytest.fixture(scope="module")
def registered(slides, sections, tmp_path_factory):
    out = tmp_path_factory.mktemp("registered")
    places = sections.tissue[:: len(sections.tissue) // 20]
    files = []
    for name, points in (("he", places / sections.he_mpp), ("ihc", sections.to_ihc(places) / sections.ihc_mpp)):
        files.append(out / f"{name}.csv")
        rows = "".join(f"{i},{x},{y}\n" for i, (x, y) in enumerate(points))
        files[-1].write_text(" ,X,Y\n" + rows)
    return restain.register(*slides, out=out / "result", landmarks=tuple(files), workers=1)


def test_a_turned_mirrored_warped_section_is_found(registered, sections):
    error = np.hypot(*(registered.transform.at(sections.tissue) - sections.to_ihc(sections.tissue)).T)
    assert np.median(error) < 2
    assert np.percentile(error, 90) < 3
    assert registered.transform.mirrored
    assert registered.transform.rotation == pytest.approx(115, abs=2)
    assert registered.runner_up < 0.5 * registered.support


def test_error_at_landmarks_is_a_fraction_of_the_diagonal(registered, sections):
    places = sections.tissue[:: len(sections.tissue) // 20]
    off = np.hypot(*(registered.transform.at(places) - sections.to_ihc(places)).T) / sections.ihc_mpp
    assert registered.rtre.median == pytest.approx(np.median(off) / np.hypot(*sections.ihc.shape[:2]))
    assert registered.rtre.robustness == 1.0


def test_what_is_written_says_the_same(registered, sections):
    folder = registered.out
    assert {path.name for path in folder.iterdir()} == {
        "transform.json", "result.json", "overlay.png", "residuals.png", "residuals.csv"
    }  # fmt: skip
    read = Transform.read(folder / "transform.json")
    np.testing.assert_allclose(read.at(sections.tissue), registered.transform.at(sections.tissue), atol=1e-3)
    steps = json.loads((folder / "transform.json").read_text())["steps"]
    assert [step["kind"] for step in steps] in (["field", "affine", "rigid"], ["affine", "rigid"])
    result = json.loads((folder / "result.json").read_text())
    assert result["rtre"]["median"] == registered.rtre.median
    assert result["residual_um"]["median"] < 5


def test_the_inverse_leads_back(registered, sections):
    there = registered.transform.at(sections.tissue)
    np.testing.assert_allclose(registered.transform.inverse_at(there), sections.tissue, atol=1e-3)


def test_other_tissue_is_refused_and_nothing_written(slides, tmp_path):
    other = draw_sections(8, size=(1300.0, 1100.0), he_mpp=2.0, ihc_mpp=2.0)
    ihc = write_slide(tmp_path / "other.tif", other.ihc, 2.0)
    with pytest.raises(restain.RestainError, match="show different tissue"):
        restain.register(slides[0], ihc, out=tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", ["glass", "no mpp", "truncated", "missing", "landmarks"])
def test_bad_input_is_one_sentence(fault, slides, tmp_path):
    he, ihc, marks = slides[0], slides[1], None
    if fault == "glass":
        ihc = write_slide(tmp_path / "glass.tif", np.full((400, 400, 3), 240, np.uint8), 2.0)
    elif fault == "no mpp":
        ihc = write_slide(tmp_path / "bare.tif", np.full((400, 400, 3), 200, np.uint8), None)
    elif fault == "truncated":
        ihc = tmp_path / "cut.tif"
        ihc.write_bytes(slides[1].read_bytes()[:20000])
    elif fault == "missing":
        ihc = tmp_path / "none.tif"
    else:
        marks = (tmp_path / "a.csv", tmp_path / "b.csv")
        marks[0].write_text(" ,X,Y\n0,1,2\n1,3,4\n")
        marks[1].write_text(" ,X,Y\n0,1,2\n")
    expected = {
        "glass": "mm² of tissue", "no mpp": "states no pixel size; give microns per pixel with --ihc-mpp",
        "truncated": "cut.tif", "missing": "no such file", "landmarks": "2 and 1 landmarks",
    }[fault]  # fmt: skip
    with pytest.raises(restain.RestainError, match=expected) as caught:
        restain.register(he, ihc, out=tmp_path / "out", landmarks=marks, workers=1)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_landmarks_without_their_columns_are_refused(slides, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x;y\n1;2\n")
    with pytest.raises(restain.RestainError, match="has the columns x;y; missing X, Y"):
        restain.register(*slides, out=tmp_path / "out", landmarks=(path, path))


def test_a_transform_of_another_version_is_refused(registered, tmp_path):
    content = json.loads((registered.out / "transform.json").read_text()) | {"version": 2}
    path = tmp_path / "transform.json"
    path.write_text(json.dumps(content))
    with pytest.raises(restain.RestainError, match="version is not"):
        Transform.read(path)


def test_residuals_by_place_are_a_table(registered):
    with (registered.out / "residuals.csv").open() as file:
        rows = list(csv.DictReader(file))
    agreeing = [np.hypot(float(row["dx_um"]), float(row["dy_um"])) for row in rows if row["agrees"] == "1"]
    assert np.median(agreeing) == pytest.approx(registered.residual_um[0], abs=0.01)


def test_the_command_asks_for_both_slides():
    result = CliRunner().invoke(app, ["register", "--he", "a.svs", "--out", "out"])
    assert result.exit_code == 2
