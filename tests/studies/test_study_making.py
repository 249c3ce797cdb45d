"""What is drawn, what is written, and what is refused."""

import json
import shutil
import sqlite3
import stat
from collections import Counter

import numpy as np
import pytest
import tifffile
from PIL import Image
from small_slides import draw_tissue, write_slide
from studies_folder import arms_of, key_of, write_images

import restain
from restain.errors import RestainError
from restain.studies.study_files import read_study, steps_of


def test_each_reader_sees_each_case_once_in_each_session_and_once_in_each_arm(make):
    folder = make(cases=9, repeats=4, readers=3)
    study, arms = read_study(folder), arms_of(folder)
    for order in study.readers.values():
        first, second, again = order.sessions
        for session in (first, second):
            assert sorted(study.case_of[item[0]] for item in session) == [f"c{number:04d}" for number in range(1, 10)]
        seen = Counter((study.case_of[item[0]], arms[item[0]]) for item in (*first, *second))
        assert set(seen.values()) == {1} and len(seen) == 18
        count = Counter(arms[item[0]] for item in first)
        assert abs(count["first"] - count["second"]) == 1  # nine cases
        assert len(again) == len(set(again)) == 4
        assert Counter(arms[item[0]] for item in again) == {"first": 2, "second": 2}
    orders = [order.sessions for order in study.readers.values()]
    assert orders[0] != orders[1] != orders[2]


def test_pairs_have_each_arm_on_the_left_in_half_of_them(make):
    study_folder = make(design="2afc", cases=10, repeats=3)
    study, arms = read_study(study_folder), arms_of(study_folder)
    for order in study.readers.values():
        first, again = order.sessions
        assert Counter(arms[left] for left, _ in first) == {"first": 5, "second": 5}
        assert {frozenset(item) for item in again} < {frozenset(item) for item in first}


def test_training_cases_come_first_and_belong_to_no_session(make):
    folder = make(training_cases=2)
    study = read_study(folder)
    steps = steps_of(study, "reader-1")
    assert [step.training for step in steps[:5]] == [True] * 4 + [False]
    trained = {study.case_of[step.item[0]] for step in steps if step.training}
    assert len(trained) == 2
    assert trained.isdisjoint(study.case_of[step.item[0]] for step in steps if not step.training)


def test_the_same_seed_draws_the_same_study(make):
    first, again, other = make("a"), make("b"), make("c", seed=4)
    assert (first / "study.yaml").read_bytes() == (again / "study.yaml").read_bytes()
    assert (first / "key.json").read_bytes() == (again / "key.json").read_bytes()
    assert (first / "study.yaml").read_bytes() != (other / "study.yaml").read_bytes()
    assert json.loads((first / "links.json").read_text()) != json.loads((again / "links.json").read_text())


def test_the_key_names_every_image_and_the_study_none(make, images):
    folder = make(source=images / "he")
    key = key_of(folder)
    assert key["arms"] == {"first": "real", "second": "virtual"}
    for picture, origin in key["pictures"].items():
        side = {"first": "real", "second": "virtual", "he": "he"}[origin["arm"]]
        assert origin["file"].startswith(str(images / side)), picture
    text = (folder / "study.yaml").read_text()
    for words in ("case0", "virtual/", "real/", str(images)):
        assert words not in text
    for name in ("key.json", "links.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    with sqlite3.connect(folder / "images.sqlite") as store:
        columns = [row[1] for row in store.execute("PRAGMA table_info(tile)")]
    assert columns == ["picture", "level", "x", "y", "jpeg"]


def test_images_of_a_case_are_cut_to_one_size_and_brought_to_one_scale(images, tmp_path):
    for mpp, side in ((0.5, "real"), (1.0, "virtual")):
        pixels = np.asarray(Image.open(images / "real" / "case00.png").resize((round(400 / mpp), round(300 / mpp))))
        write_slide(tmp_path / side / "one.tif", pixels[: 300 if side == "virtual" else 590], mpp)
    made = restain.make_study(
        tmp_path / "study", real=tmp_path / "real", virtual=tmp_path / "virtual", design="score", marker="er",
        cases=1, training_cases=0,
    )  # fmt: skip
    (case,) = made.study.cases.values()
    assert made.study.encoding.mpp == pytest.approx(1.0) and made.study.encoding.scale_known
    assert (case.width, case.height) == (400, 295)
    assert any("0.5 and 1 µm per pixel" in warning for warning in made.warnings)


def test_whole_slides_get_one_glass_and_one_extent(tmp_path):
    tissue = draw_tissue(600, 800)
    write_slide(tmp_path / "real" / "s.tif", np.minimum(tissue, (250, 226, 231)).astype(np.uint8), 4.0)
    write_slide(tmp_path / "virtual" / "s.tif", tissue[:520], 4.0)
    made = restain.make_study(
        tmp_path / "study", real=tmp_path / "real", virtual=tmp_path / "virtual", design="score", marker="er",
        cases=1, training_cases=0,
    )  # fmt: skip
    (case,) = made.study.cases.values()
    assert (case.width, case.height) == (800, 600)
    with sqlite3.connect(tmp_path / "study" / "images.sqlite") as store:
        for picture in case.pictures:
            (content,) = store.execute("SELECT jpeg FROM tile WHERE picture = ? AND level = -1", (picture,)).fetchone()
            (tmp_path / "o.jpg").write_bytes(content)
            overview = np.asarray(Image.open(tmp_path / "o.jpg")).astype(int)
            assert np.abs(overview[:20, :20] - 243).max() <= 2, picture  # glass, far from tissue
            assert np.abs(overview[-8:] - 243).max() <= 2, picture  # beyond the smaller slide
            assert overview.min() < 160  # and the tissue is there


def test_sizes_below_those_of_the_field_are_warned_of(images, tmp_path):
    def warnings(**options):
        chosen = {"real": images / "real", "virtual": images / "virtual", "design": "score", "marker": "her2",
                  "cases": 8, "training_cases": 0}  # fmt: skip
        shutil.rmtree(tmp_path / "s", ignore_errors=True)
        return " | ".join(restain.make_study(tmp_path / "s", **{**chosen, **options}).warnings)

    assert "8 cases are less than 80" in warnings()
    assert "with one reader" in warnings(readers=1)
    assert "washout of 3 days" in warnings(washout_days=3)
    assert "no image is read twice" in warnings() and "read twice" not in warnings(repeats=2)
    choice = warnings(design="2afc", source=images / "he")
    assert "8 cases are less than 96" in choice and "The H&E is shown".lower() in choice.lower()
    assert "washout" not in warnings(design="2afc", washout_days=0)
    single = warnings(design="single", source=images / "he")
    assert "16 images are less than 96" in single and "the H&E is shown" in single and "CAP" not in single


def test_glass_that_tells_the_arms_apart_is_warned_of(images, tmp_path):
    (tmp_path / "dark").mkdir()
    for path in (images / "virtual").iterdir():
        Image.fromarray((np.asarray(Image.open(path)) * 0.7).astype(np.uint8)).save(tmp_path / "dark" / path.name)
    made = restain.make_study(
        tmp_path / "s", real=images / "real", virtual=tmp_path / "dark", design="score", marker="her2", cases=8
    )
    assert any("the lightest parts tell the arms apart" in warning for warning in made.warnings)


def test_two_systems_are_compared_under_their_own_names(make, images, tmp_path):
    folder = make(design="preference", real=None, virtual=[images / "virtual", images / "he"])
    assert key_of(folder)["arms"] == {"first": "virtual", "second": "he"}


@pytest.mark.parametrize(("options", "words"), [
    ({"design": "guess"}, "design: is 'guess'; expected one of score, 2afc, single, quality, preference"),
    ({"marker": "cd3"}, "marker: is 'cd3'"),
    ({"cases": 0}, "cases: is 0; expected 1 to 2000"),
    ({"cases": 16}, "cases: 16 images have the same name in all folders; expected at least 17"),
    ({"repeats": 9}, "repeats: is 9; expected at most the number of cases, 8"),
    ({"readers": 51}, "readers: is 51"),
    ({"washout_days": float("nan")}, "washout_days: is nan"),
    ({"margin": -1.0}, "margin: is -1"),
    ({"real": None}, "the folders given are 1 virtual and 0 real; expected a real and a virtual folder"),
    ({"mpp": 900.0}, "mpp is 900"),
    ({"source": "/nowhere"}, "/nowhere: is no folder"),
])  # fmt: skip
def test_what_cannot_be_a_study_is_refused_and_nothing_is_left(make, tmp_path, options, words):
    with pytest.raises(RestainError, match=words.replace("(", r"\(")):
        make(**options)
    assert not list(tmp_path.iterdir())


def test_images_of_different_fields_are_refused(images, tmp_path):
    write_images(tmp_path / "other", 7, (140, 70))
    with pytest.raises(RestainError, match=r"has 140 x 70 pixels and .* has 90 x 70; expected the same field"):
        restain.make_study(
            tmp_path / "s", real=images / "real", virtual=tmp_path / "other", design="score", marker="her2", cases=8
        )
    assert not (tmp_path / "s").exists()


def test_images_of_which_some_state_a_pixel_size_need_it_for_all(images, tmp_path):
    shutil.copytree(images / "virtual", tmp_path / "virtual")
    for path in (tmp_path / "virtual").glob("*.png"):
        pixels = np.asarray(Image.open(path))
        tifffile.imwrite(path.with_suffix(".tif"), pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
        path.unlink()
    options = {
        "real": images / "real",
        "virtual": tmp_path / "virtual",
        "design": "score",
        "marker": "her2",
        "cases": 8,
    }
    with pytest.raises(RestainError, match="give that of all with --mpp"):
        restain.make_study(tmp_path / "s", **options)
    assert restain.make_study(tmp_path / "s", mpp=0.5, **options).study.encoding.mpp == 0.5


@pytest.mark.parametrize(("old", "new", "words"), [
    ("design: score", "design: guess", "study.yaml: design: Input should be"),
    ("margin: 0.1", "margin: -0.1", "margin: Input should be greater than 0"),
    ("cutoffs: [1, 2, 3]", "cutoffs: [1, 2, 7]", r"cutoffs is \(1, 2, 7\)"),
    ("washout_days: 0.0", "washout_days: 1.0e+12", "washout_days: Input should be less than or equal to 3650"),
    ("design: score", "design: 2afc", "and design is 2afc; expected two different images"),
    ("design: score", "design: single", "the question of design single has other answers; expected Real, Virtual"),
    ("version: 1", "version: 1\nextra: 2", "extra: Extra inputs are not permitted"),
])  # fmt: skip
def test_a_damaged_study_is_one_sentence(make, old, new, words):
    folder = make()
    text = (folder / "study.yaml").read_text()
    assert old in text
    (folder / "study.yaml").write_text(text.replace(old, new))
    with pytest.raises(RestainError, match=words):
        restain.serve_study(folder, port=0)


def test_one_case_of_each_slide_is_drawn_before_a_second_of_any(make):
    folder = make(cases=8, training_cases=2, groups=r"case(\d)")  # case00 to case15: two groups
    study, names = read_study(folder), key_of(folder)["names"]
    by_name = {names[case]: of.group for case, of in study.cases.items()}
    assert {name: name[4] for name in by_name} == {name: "01"[group - 1] for name, group in by_name.items()}
    assert Counter(by_name.values())[2] >= 4  # six names begin with case1
    assert study.groups == r"pattern case(\d)"


def test_cases_of_few_slides_are_warned_of(images, tmp_path):
    made = restain.make_study(
        tmp_path / "s", real=images / "real", virtual=images / "virtual", design="score", marker="her2", cases=8,
        groups=r"case(\d)",
    )  # fmt: skip
    assert any("the 8 cases are of 2 slides or patients" in warning for warning in made.warnings)


def test_two_images_of_one_name_and_a_folder_given_twice_are_refused(images, tmp_path):
    real, virtual = images / "real", images / "virtual"
    with pytest.raises(RestainError, match="is given twice"):
        restain.make_study(real=real, virtual=real, design="score", marker="her2", cases=3, out=tmp_path / "study")
    twice = shutil.copytree(virtual, tmp_path / "twice")
    first = sorted(twice.iterdir())[0]
    shutil.copyfile(first, first.with_suffix(".jpg"))
    with pytest.raises(RestainError, match="have one name"):
        restain.make_study(real=real, virtual=twice, design="score", marker="her2", cases=3, out=tmp_path / "study")
    assert not (tmp_path / "study").exists()
