"""Several systems at once: one table, tests between them, ranks, groups, published scores beside."""

import csv
import io
import json

import numpy as np
import pytest
from rich.console import Console

from restain.console.evaluation import print_evaluation
from restain.errors import RestainError
from restain.evaluation import EvaluationOptions, evaluate, parse_systems
from restain.evaluation.schema import to_json
from restain.images import read_rgb, write_png
from restain.metrics.statistics.significance import compare_means, holm


@pytest.fixture(scope="module")
def systems(folders, tmp_path_factory):
    """A flawed stain, a blank image, and the H&E passed off as a stain."""
    blank = tmp_path_factory.mktemp("blank")
    for path in folders["real"].rglob("*.png"):
        write_png(blank / path.relative_to(folders["real"]), np.full_like(read_rgb(path), 235))
    return {"flawed": folders["fake"], "blank": blank, "copy": folders["source"]}


@pytest.fixture(scope="module")
def several(folders, systems, tmp_path_factory):
    out = tmp_path_factory.mktemp("several")
    options = EvaluationOptions(groups="none", compare_with="mist-er", mpp=0.5, marker="er")
    roles = {role: folders[role] for role in ("real", "source", "reference")}
    return evaluate(fake=systems, out=out, protocol="asp2023", options=options, **roles)


def test_each_system_has_the_scores_it_would_have_alone(folders, several, tmp_path):
    alone = evaluate(
        folders["real"],
        folders["fake"],
        out=tmp_path,
        source=folders["source"],
        protocol="asp2023",
        options=EvaluationOptions(mpp=0.5, marker="er"),
    )
    assert several.summary.systems["flawed"] == alone.summary.systems["virtual"]
    assert several.summary.systems["copy"] == several.summary.baselines["H&E unchanged"]
    assert list(several.summary.systems) == ["flawed", "blank", "copy"]
    assert several.summary.folders["blank"] and "fake" not in several.summary.folders


def test_per_image_file_has_a_row_per_image_and_system(several):
    with (several.out / "per_image.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["system"], row["id"]) for row in rows] == [
        (system, name) for system in ("flawed", "blank", "copy") for name in several.ids
    ]
    assert float(rows[0]["ssim"]) == pytest.approx(several.systems[0].columns["ssim"][0])


def test_every_pair_is_tested_and_corrected_within_its_metric(several):
    entries = [entry for entry in several.summary.comparisons if entry.metric == "ssim"]
    columns = {system.name: system.columns["ssim"] for system in (*several.systems, *several.baselines)}
    pairs = [(entry.first, entry.second) for entry in entries]
    assert pairs[:3] == [("flawed", "blank"), ("flawed", "copy"), ("blank", "copy")]
    assert len(pairs) == 3 + 3 * 2  # and each against both baselines
    alone = [compare_means(columns[first], columns[second], seed=0) for first, second in pairs]
    assert [entry.p for entry in entries] == [one.p for one in alone]
    families = [entry.family for entry in entries]
    assert families == ["systems"] * 3 + ["baselines"] * 6  # superiority over the baselines is a family of its own
    corrected = holm([one.p for one in alone[:3]]) + holm([one.p for one in alone[3:]])
    assert [entry.p_holm for entry in entries] == pytest.approx(corrected)
    assert [entry.difference for entry in entries] == [one.difference for one in alone]
    assert alone[0].p == 2 / 2**9  # of 9 images all agree: no smaller p exists


def test_the_better_one_is_named_only_where_the_test_says_so(several):
    for entry in several.summary.comparisons:
        assert (entry.better is not None) == (entry.p_holm is not None and entry.p_holm < 0.05)
        if entry.metric == "dab_mean_od_error" and entry.better:
            assert entry.better == (entry.first if entry.difference < 0 else entry.second)
    same = [entry for entry in several.summary.comparisons if entry.second == "H&E unchanged"]
    assert all(entry.p in (1, None) for entry in same if entry.first == "copy")


def test_too_few_groups_for_a_test_are_said_on_the_screen(folders, systems, tmp_path):
    options = EvaluationOptions(metrics=["ssim", "dab_pearson_r"], groups="^(slide.)/")
    outcome = evaluate(folders["real"], systems, out=tmp_path, options=options)
    console = Console(record=True, width=120, file=io.StringIO())
    print_evaluation(outcome, console)
    text = console.export_text()
    assert text.count("no test: cannot be tested with 2 groups and 3 pairs") == 1
    assert "paired bootstrap interval of the difference" not in text


def test_ranks_are_of_the_stain_and_not_of_the_pixels(folders, systems, several, tmp_path):
    ranking = several.summary.ranking
    assert ranking.systems[0] == "flawed"
    assert not {"ssim", "psnr", "r_content"} & set(ranking.metrics)
    only = EvaluationOptions(metrics=["pixels"])
    summary = evaluate(folders["real"], systems, out=tmp_path, options=only).summary
    assert set(summary.systems["blank"]) <= {"ssim", "psnr", "ms_ssim", "ssim_shift", "ssim_shift_px"}
    assert summary.ranking is None
    assert "never ranked on similarity of pixels" in summary.not_computed["ranking"]


def test_only_the_chosen_metrics_are_measured(folders, tmp_path):
    chosen = evaluate(
        folders["real"], folders["fake"], out=tmp_path, options=EvaluationOptions(metrics=["dab_iod_error"])
    )
    assert list(chosen.summary.systems["virtual"]) == ["dab_iod_error"]
    assert set(chosen.virtual.columns) == {"dab_iod", "dab_iod_real"}
    with pytest.raises(RestainError, match=r"metrics: 'fidd' is not known, did you mean fid\?; expected families"):
        evaluate(folders["real"], folders["fake"], out=tmp_path, options=EvaluationOptions(metrics=["ssim", "fidd"]))


def test_reasons_name_the_system_they_belong_to(several):
    reasons = several.summary.not_computed
    assert "same in all images" in reasons["blank: dab_pearson_r"]
    assert "flat grey" in reasons["blank: r_content"]
    assert "flawed: dab_pearson_r" not in reasons


def test_published_scores_stand_beside_and_other_protocols_are_marked(several):
    rows = several.summary.literature.rows
    assert not any(row.comparable for row in rows)  # nine invented fields are not the 1000 of MIST
    asp = next(row for row in rows if row.protocol == "asp2023" and row.metric == "ssim")
    assert asp.differs == ["data set", "split", "n", "size"]
    console = Console(record=True, width=160, file=io.StringIO())
    print_evaluation(several, console)
    text = console.export_text()
    assert "0.2061*" in text and "0.3459*" in text and "flawed (yours)" in text
    assert "Table 4, from Li et al. (ASP), MICCAI 2023" in text
    assert "mean rank over families of metrics (stain, place, cells): flawed" in text
    assert " p = 0.0" in text


def test_summary_is_plain_json(several):
    assert json.loads((several.out / "summary.json").read_text(encoding="utf-8")) == to_json(several.summary)


def test_words_of_the_command_line_become_systems():
    assert parse_systems(["out"]) == "out"
    assert parse_systems(["a=x/y", "b=z=1"]) == {"a": "x/y", "b": "z=1"}
    with pytest.raises(RestainError, match="is 'out'; expected NAME=DIR where several systems are evaluated"):
        parse_systems(["a=x", "out"])
    with pytest.raises(RestainError, match="the name 'a' is given twice"):
        parse_systems(["a=x", "a=y"])


@pytest.mark.parametrize("name", ["", "real", "colour transfer", "a: b", "..", "../a", "a\\b"])
def test_names_that_would_confuse_are_refused(folders, tmp_path, name):
    with pytest.raises(RestainError, match="a system cannot be called"):
        evaluate(folders["real"], {name: folders["fake"]}, out=tmp_path)


def test_a_missing_image_names_its_system(folders, systems, tmp_path):
    write_png(tmp_path / "short" / "slide0" / "field0.png", read_rgb(folders["fake"] / "slide0" / "field0.png"))
    with pytest.raises(RestainError, match="short has no slide0/field2"):
        evaluate(folders["real"], systems | {"short": tmp_path / "short"}, out=tmp_path / "out")
    with pytest.raises(RestainError, match="names no system"):
        evaluate(folders["real"], {}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
