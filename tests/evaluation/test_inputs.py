import numpy as np
import pytest

from restain.errors import RestainError
from restain.evaluation.inputs import match_images
from restain.images import write_png


def fill(folder, *names, size=(12, 16)):
    for name in names:
        write_png(folder / name, np.zeros((*size, 3), np.uint8))
    return folder


def test_names_match_by_relative_stem_whatever_the_suffix(tmp_path):
    real = fill(tmp_path / "real", "b_2+.png", "slide1/a.0.png")
    fake = fill(tmp_path / "fake", "slide1/a.0.tif", "b_2+.jpg")
    matches = match_images({"real": real, "fake": fake})
    assert [match.id for match in matches] == ["b_2+", "slide1/a.0"]
    assert matches[1].files == {"real": real / "slide1/a.0.png", "fake": fake / "slide1/a.0.tif"}
    assert matches[0].size == (12, 16)


def test_missing_partners_are_listed_for_every_side_ten_at_most(tmp_path):
    real = fill(tmp_path / "real", "common.png", *(f"r{index:02}.png" for index in range(13)))
    fake = fill(tmp_path / "fake", "common.png", "only.png")
    with pytest.raises(RestainError) as refusal:
        match_images({"real": real, "fake": fake})
    message = str(refusal.value)
    assert "real has no only" in message
    assert "fake has no r00, r01" in message
    assert "r09 and 3 more" in message
    assert "r10" not in message


def test_a_match_in_case_only_is_named(tmp_path):
    real, fake = fill(tmp_path / "real", "Field.png"), fill(tmp_path / "fake", "field.png")
    with pytest.raises(RestainError, match=r"fake has no Field \(differs from field in upper and lower case\)"):
        match_images({"real": real, "fake": fake})


def test_two_files_of_one_stem_are_refused(tmp_path):
    real = fill(tmp_path / "real", "a.png", "a.jpg")
    with pytest.raises(RestainError, match=r"files share one name up to the suffix: a\.jpg and a\.png"):
        match_images({"real": real})


def test_sizes_that_differ_are_listed(tmp_path):
    real = fill(tmp_path / "real", "a.png", "b.png")
    fake = fill(fill(tmp_path / "fake", "a.png"), "b.png", size=(12, 15))
    with pytest.raises(RestainError, match=r"differ in size .*: b \(real 16x12, fake 15x12\)$"):
        match_images({"real": real, "fake": fake})


def test_too_small_an_image_is_refused(tmp_path):
    real = fill(tmp_path / "real", "a.png", size=(10, 30))
    with pytest.raises(RestainError, match=r"smaller than 11 pixels on a side: a \(30x10\)"):
        match_images({"real": real}, smallest=11)


def test_empty_and_missing_folders_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("no image")
    with pytest.raises(RestainError, match=r"real folder .*empty: holds no image"):
        match_images({"real": tmp_path / "empty"})
    with pytest.raises(RestainError, match="gone: no such folder"):
        match_images({"real": tmp_path / "gone"})
