"""What an evaluation says of its inputs and of a stain, in sentences."""

import io

import pytest
from rich.console import Console

from restain.console.evaluation import print_evaluation
from restain.errors import RestainError
from restain.evaluation import EvaluationOptions, evaluate


def test_without_a_pixel_size_cells_are_not_counted_and_the_screen_says_so(folders, tmp_path):
    evaluation = evaluate(
        folders["real"], folders["fake"], out=tmp_path, options=EvaluationOptions(metrics=["cells", "place"])
    )
    summary = evaluation.summary
    assert summary.mpp is None
    assert not [name for name, score in summary.systems["virtual"].items() if score.family == "cells"]
    assert summary.not_computed["h_score_error"].startswith("the pixel size is not known: give --mpp")
    assert "dab_near_f" in summary.systems["virtual"]
    console = Console(record=True, width=160, file=io.StringIO())
    print_evaluation(evaluation, console)
    assert "warning: the pixel size is not known" in console.export_text()


def test_the_truth_among_the_inputs_is_a_warning(folders, tmp_path):
    options = EvaluationOptions(metrics=["stain"], mpp=0.5)
    summary = evaluate(
        folders["real"],
        folders["real"],
        out=tmp_path,
        source=folders["source"],
        reference=folders["real"],
        options=options,
    ).summary
    assert summary.verdict["virtual"] == "is the real stain itself: its files are those of the real images"
    assert summary.warnings[0] == "9 of 9 images of virtual are the real images themselves, byte for byte"
    assert summary.warnings[1].startswith("9 of 9 reference images are among the real images that are evaluated")
    clean = evaluate(**folders, out=tmp_path / "other", options=options).summary
    assert clean.warnings == []


def test_nuclei_of_an_unusual_size_question_the_pixel_size(folders, tmp_path):
    options = EvaluationOptions(metrics=["cells"], mpp=1.0)
    (warning,) = evaluate(folders["real"], folders["fake"], out=tmp_path, options=options).summary.warnings
    assert "usual are 25 to 70: the pixel size of 1 µm (given) may be wrong" in warning


def test_many_systems_have_one_line_a_score_with_differences_from_the_best(folders, tmp_path):
    systems = {"ours": folders["fake"], "copy [1]": folders["source"], "truth": folders["real"]}
    evaluation = evaluate(
        folders["real"],
        systems,
        out=tmp_path,
        source=folders["source"],
        options=EvaluationOptions(metrics=["ssim", "dab_mean_od_error", "psnr"], test="ours"),
    )
    console = Console(record=True, width=140, file=io.StringIO())
    print_evaluation(evaluation, console)
    text = console.export_text()
    (line,) = [line for line in text.splitlines() if line.startswith("│ ssim ↑")][:1]
    cells = [cell.strip() for cell in line.strip("│").split("│")]
    assert cells[3] == "1.000" and cells[1].startswith("−0.") and cells[2].endswith("*")
    assert "copy [1]: equals the H&E in all scores: nothing was stained" in " ".join(text.split())
    assert {(one.first, one.second) for one in evaluation.summary.comparisons if one.family == "systems"} == {
        ("ours", "copy [1]"),
        ("ours", "truth"),
    }
    with pytest.raises(RestainError, match="test: 'theirs' is not among the systems; expected one of ours, copy"):
        evaluate(folders["real"], systems, out=tmp_path, options=EvaluationOptions(test="theirs"))
