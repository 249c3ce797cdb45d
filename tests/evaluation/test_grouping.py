import numpy as np
import pytest

from restain.errors import RestainError
from restain.evaluation import EvaluationOptions, evaluate
from restain.evaluation.grouping import group_images

MIST = ["100M2004069_10_9", "100M2004069_10_10", "deep/200M2004070_1_1"]
IDS = ["a/s1_f1", "a/s1_f2", "b/s2_f1"]


def test_the_names_of_mist_and_hemit_tell_the_slide():
    found = group_images(MIST, "auto")
    assert found.names == ("100M2004069", "100M2004069", "200M2004070")
    assert found.numbers.tolist() == [0, 0, 1]
    assert found.count == 2
    hemit = group_images(["11_13196_49353", "12_13196_49353", "11_8604_40577"], "auto")
    assert hemit.count == 2


def test_names_that_tell_nothing_leave_every_image_by_itself():
    found = group_images(["00820_test_2+", "00821_test_2+"], "auto")
    assert found.names is None and found.numbers is None
    assert "no slide in the names" in found.rule
    assert group_images(MIST, "none").names is None


def test_a_pattern_or_a_table_tells_the_groups(tmp_path):
    assert group_images(IDS, r"(s\d+)_").names == ("s1", "s1", "s2")
    assert group_images(IDS, r"^([^/]+)/").names == ("a", "a", "b")
    table = tmp_path / "groups.csv"
    table.write_text("id,group\n" + "".join(f"{one},{one[0]}\n" for one in IDS), encoding="utf-8")
    assert group_images(IDS, table).names == group_images(IDS, str(table)).names == ("a", "a", "b")


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ("(s1)", r"'\(s1\)' finds no group in b/s2_f1 \(1 images of 3\)"),
        ("slide", "expected auto, none, a .csv file, or a regular expression with one group in brackets"),
        ("(", "is not a regular expression"),
        ("absent.csv", "absent.csv: no such file"),
    ],
)
def test_bad_groups_are_one_sentence(groups, sentence):
    with pytest.raises(RestainError, match=sentence):
        group_images(IDS, groups)


def test_bad_tables_are_one_sentence(tmp_path):
    table = tmp_path / "groups.csv"
    table.write_text("name,slide\nx,1\n", encoding="utf-8")
    with pytest.raises(RestainError, match="has the columns name, slide; expected id and group"):
        group_images(IDS, str(table))
    table.write_text("id,group\na/s1_f1,1\n", encoding="utf-8")
    with pytest.raises(RestainError, match=r"has no group for a/s1_f2 \(2 images of 3\)"):
        group_images(IDS, str(table))


def test_the_summary_says_which_groups_and_intervals_follow_them(folders, tmp_path):
    """Nine fields of two slides: drawn by slide there is nothing to draw from."""
    options = EvaluationOptions(metrics=["ssim"], groups=r"^(slide\d)/")
    summary = evaluate(folders["real"], folders["fake"], out=tmp_path, options=options).summary
    assert (summary.groups.rule, summary.groups.count) == (r"pattern ^(slide\d)/", 2)
    assert summary.systems["virtual"]["ssim"].ci95 is None
    assert "at least 8 groups of images, there are 2" in summary.not_computed["ssim ci95"]
    assert np.isfinite(summary.systems["virtual"]["ssim"].std)
