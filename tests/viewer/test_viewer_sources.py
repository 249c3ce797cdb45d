"""What the given paths are."""

from pathlib import Path

import numpy as np
import pytest
from marked_slides import HE, IHC, marked, record_for
from small_slides import draw_tissue, write_slide

from restain.errors import RestainError
from restain.evaluation import EvaluationOptions, evaluate
from restain.files import write_json
from restain.images import write_png
from restain.slides.record import BatchSummary
from restain.viewer.sources import find_cases


def roles_of(cases):
    return [[picture.role for picture in case.pictures] for case in cases]


def test_files_are_he_virtual_and_real_in_that_order(tmp_path):
    files = [write_slide(tmp_path / name, marked(800, 400, 2.0, HE), 2.0) for name in ("a.tif", "b.tif", "c.tif")]
    (case,) = find_cases(files)
    assert [picture.path for picture in case.pictures] == files
    assert roles_of([case]) == [["he", "virtual", "real"]]
    assert roles_of(find_cases(files[:2], roles=["he", "real"])) == [["he", "real"]]


def test_a_file_that_says_that_it_is_virtual_is_believed_over_its_place(result, tmp_path):
    virtual = result / "out" / "case.ome.tif"  # by its record
    real = write_slide(tmp_path / "real.tif", marked(800, 400, 2.0, IHC), 2.0)
    assert roles_of(find_cases([virtual, real, real])) == [["virtual", "he", "real"]]


def test_results_of_restain_slide_stand_beside_their_he(result):
    (case,) = find_cases([result / "out"])
    assert [picture.path.name for picture in case.pictures] == ["case.tif", "case.ome.tif"]
    assert roles_of([case]) == [["he", "virtual"]]
    assert case.notes == ("the resolutions differ by a factor of 2",)


def test_a_slide_that_failed_is_listed_with_its_reason(tmp_path):
    source = write_slide(tmp_path / "a.tif", marked(800, 400, 2.0, HE), 2.0)
    out = tmp_path / "out"
    write_slide(out / "b.tif", marked(800, 400, 2.0, HE), 2.0)
    record = record_for(source, out / "a.ome.tif", status="failed", error="a.tif: no tissue", made_by=None)
    write_json(out / "summary.json", BatchSummary(slides=(record,)).model_dump(mode="json"))
    case = find_cases([out])[-1]
    assert case.title == "a.tif" and case.notes == ("not stained: a.tif: no tissue",)
    assert [picture.path for picture in case.pictures] == [source]


def test_an_evaluation_gives_a_case_for_each_image(tmp_path):
    for side in ("he", "fake", "real"):
        for name in ("1", "2"):
            write_png(tmp_path / side / f"{name}.png", draw_tissue(64, 64))
    options = EvaluationOptions(metrics=["psnr"], mpp=0.5)
    evaluate(tmp_path / "real", tmp_path / "fake", out=tmp_path / "eval", source=tmp_path / "he", options=options)
    cases = find_cases([tmp_path / "eval"])
    assert [case.title for case in cases] == ["1", "2"]
    assert roles_of(cases) == [["he", "virtual", "real"]] * 2
    assert cases[0].pictures[0].mpp == 0.5


def test_a_run_gives_its_samples_and_attention_maps(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: asp\n")
    for name in ("samples/step-20.png", "samples/step-3.png", "attention/f-ihc.png", "attention/f-layer4.png"):
        write_png(tmp_path / name, draw_tissue(32, 32))
    cases = find_cases([tmp_path])
    assert [case.title for case in cases] == ["step 3", "step 20", "attention: f"]
    assert [picture.label for picture in cases[2].pictures] == ["IHC", "attention, layer 4"]


def test_a_data_set_gives_its_pairs(tmp_path):
    for side in ("valA", "valB"):
        write_png(tmp_path / side / "x.png", draw_tissue(32, 32))
    (case,) = find_cases([tmp_path])
    assert case.title == "val: x" and roles_of([case]) == [["he", "real"]]


def test_folders_are_matched_by_name(tmp_path):
    for folder, names in {"a": ("1", "2"), "b": ("2", "1", "3"), "c": ("1",)}.items():
        for name in names:
            write_png(tmp_path / folder / f"{name}.png", draw_tissue(32, 32))
    cases = find_cases([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert [(case.title, [p.path.parent.name for p in case.pictures]) for case in cases] == [
        ("1", ["a", "b", "c"]),
        ("2", ["a", "b"]),
    ]
    assert cases[1].notes == ("no image of this name in c",)


def test_ids_tell_nothing_of_paths_and_stay_the_same(result):
    first, second = (find_cases([result / "out"])[0] for _ in range(2))
    assert first.id == second.id
    assert [picture.id for picture in first.pictures] == [picture.id for picture in second.pictures]
    assert all(set(picture.id) <= set("0123456789abcdef") for picture in first.pictures)
    assert len({picture.id for picture in first.pictures}) == 2


@pytest.mark.parametrize(
    ("inputs", "options", "words"),
    [
        (["missing.svs"], {}, "missing.svs: no such file"),
        (["a.png"], {"roles": ["he", "real"]}, "2 roles are given for 1 pictures"),
        (["a.png"], {"roles": ["ihc"]}, "role is 'ihc'; expected one of he, virtual, real, other"),
        (["empty"], {}, "no slide found"),
        (["t.json"], {}, "a transform needs the slides"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, monkeypatch, inputs, options, words):
    monkeypatch.chdir(tmp_path)
    write_png(Path("a.png"), np.zeros((8, 8, 3), np.uint8))
    Path("empty").mkdir()
    Path("t.json").write_text("{}")
    with pytest.raises(RestainError, match=words):
        find_cases(inputs, **options)
