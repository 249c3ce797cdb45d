"""Comparisons from one end to the other, killed and continued."""

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from benchmarking.conftest import NARROW, compare
from training.running import interrupt_after

import restain
from restain.benchmarking import bench_verb, training_job
from restain.errors import RestainError, Stopped
from restain.evaluation import EvaluationOptions, evaluate
from restain.evaluation.schema import read_summary
from restain.methods.conditional import ConditionalMethod
from restain.stainer_files import load_stainer


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with (out / "table.csv").open(encoding="utf-8") as file:
        return {row["system"]: row for row in csv.DictReader(file)}


def test_scores_are_those_of_the_evaluations_and_a_failure_stops_nothing(
    fields: Path, tmp_path: Path, here: list[Any]
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("extends: pix2pix-small\nname: broken\ndata: {target: B}\nvalidation: {best: dab_r, fields: 2}\n")
    out = tmp_path / "out"
    recipes = ("pix2pix-small", str(broken), "pix2pix-resnet-small")
    run = compare(fields, out, *recipes, seeds=2)
    rows = rows_of(out)
    assert list(rows) == ["pix2pix-small", "broken", "pix2pix-resnet-small", "H&E unchanged", "colour transfer"]
    assert "2 trainings failed: field validation.best is 'dab_r'" in rows["broken"]["note"]
    summaries = [
        read_summary(out / "pix2pix-resnet-small" / f"seed-{seed}" / "evaluation" / "summary.json") for seed in (0, 1)
    ]
    for metric in ("ssim", "dab_mean_od_error", "dab_pearson_r"):
        means = [summary.systems["pix2pix-resnet-small"][metric].mean for summary in summaries]
        row = rows["pix2pix-resnet-small"]
        assert float(row[metric]) == pytest.approx(statistics.mean(means), rel=1e-6)
        assert float(row[f"{metric}_sd"]) == pytest.approx(statistics.stdev(means), rel=1e-5)
        assert float(row[f"{metric}_low"]) <= float(row[metric]) <= float(row[f"{metric}_high"])
        assert float(rows["H&E unchanged"][metric]) == pytest.approx(
            summaries[0].baselines["H&E unchanged"][metric].mean
        )
    assert [float(rows[name]["steps"]) for name in ("pix2pix-small", "pix2pix-resnet-small")] == [4, 4]
    assert run.table is not None and run.page == out / "index.html"
    page = run.page.read_text()
    assert page.count("<svg") == 0 and "data:image/svg+xml" in page and "data:image/jpeg" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert (out / "fields.jpg").is_file() and r"\begin{tabular}" in (out / "table.tex").read_text()

    here.clear()
    compare(fields, out, *recipes, seeds=2)
    assert {(name, arguments[0].contender.name) for name, arguments in here if name == "run_job"} == {
        ("run_job", "broken")
    }  # only what failed is tried again
    assert not [name for name, _ in here if name == "measure_cost"]


def test_one_seed_is_tested_as_a_joint_evaluation_tests_it(fields: Path, tmp_path: Path, here: list[Any]) -> None:
    names = ("pix2pix-small", "pix2pix-resnet-small")
    metrics = ("ssim", "psnr", "dab_mean_od_error", "dab_grid_r")
    compare(fields, tmp_path / "out", *names, metrics=metrics)
    joint = evaluate(
        fields / "valB",
        {name: tmp_path / "out" / name / "seed-0" / "virtual" for name in names},
        out=tmp_path / "joint",
        source=fields / "valA",
        reference=fields / "trainB",
        options=EvaluationOptions(metrics=metrics, groups="none", test=names[0]),
    ).summary
    rows = rows_of(tmp_path / "out")
    compared = [one for one in joint.comparisons if one.p_holm is not None]
    assert {one.second for one in compared} == {names[1], "H&E unchanged", "colour transfer"}
    for one in compared:
        assert float(rows[one.second][f"{one.metric}_p"]) == pytest.approx(one.p_holm)
    for name, score in joint.systems[names[0]].items():
        assert float(rows[names[0]][name]) == pytest.approx(score.mean, rel=1e-6)
        assert (float(rows[names[0]][f"{name}_low"]), float(rows[names[0]][f"{name}_high"])) == pytest.approx(
            score.ci95, rel=1e-5
        )
    assert joint.ranking is not None and joint.ranking.failed
    for name, rank in joint.ranking.mean_rank.items():
        assert float(rows[name]["mean_rank"]) == pytest.approx(rank)
    table = (tmp_path / "out" / "table.md").read_text()
    assert f"Best first: {', '.join(joint.ranking.systems)}." in table
    for name, families in joint.ranking.failed.items():
        assert (f"{name}: the H&E unchanged is as good in {' and '.join(families)}." in table) is (name in names)


def test_a_comparison_that_was_stopped_goes_on_where_it_was(
    fields: Path, tmp_path: Path, here: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    narrow = (*NARROW, "log.checkpoint=1")
    compare(fields, whole, "pix2pix-small", overrides=narrow)
    compare(fields, stopped, "pix2pix-small", overrides=narrow, dry_run=True)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 2, ConditionalMethod)
        compare(fields, stopped, "pix2pix-small", overrides=narrow)
    assert (stopped / "pix2pix-small" / "seed-0" / "run" / "checkpoints").is_dir()
    assert not (stopped / "pix2pix-small" / "seed-0" / "run" / "stainer").exists()
    usual = training_job.stain

    def stop(*_: Any, **__: Any) -> None:
        raise Stopped("stopped by SIGTERM")

    monkeypatch.setattr(training_job, "stain", stop)
    with pytest.raises(Stopped):
        compare(fields, stopped, "pix2pix-small", "pix2pix-resnet-small", overrides=narrow)
    assert not (stopped / "pix2pix-small" / "seed-0" / "job.json").exists()
    monkeypatch.setattr(training_job, "stain", usual)

    def must_not_train(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(training_job, "train", must_not_train)
    compare(fields, stopped, "pix2pix-small", overrides=narrow)
    ends = [load_stainer(out / "pix2pix-small" / "seed-0" / "run").identity for out in (whole, stopped)]
    assert ends[0] == ends[1]


def test_other_settings_and_other_recipes_are_refused(fields: Path, tmp_path: Path, here: list[Any]) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: pix2pix-small\nname: mine\nl1: {weight: 100}\n")
    compare(fields, tmp_path / "out", str(recipe))
    with pytest.raises(
        RestainError, match=r"bench\.json: was made with other settings \(budget was '4steps', now '5steps'\)"
    ):
        compare(fields, tmp_path / "out", str(recipe), budget="5steps")
    recipe.write_text("extends: pix2pix-small\nname: mine\nl1: {weight: 50}\n")
    with pytest.raises(RestainError, match=r"was trained by another recipe \(l1.weight was 100.0, now 50.0\)"):
        compare(fields, tmp_path / "out", str(recipe))
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").touch()
    with pytest.raises(RestainError, match="holds files that are no comparison"):
        compare(fields, tmp_path / "thesis", str(recipe))


def test_a_dry_run_trains_nothing_and_says_how_long_it_would_take(
    fields: Path, tmp_path: Path, here: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from restain.console.benchmark import print_bench

    run = compare(fields, tmp_path / "out", "pix2pix-small", budget="2epochs", seeds=3, dry_run=True)
    (estimate,) = run.estimates
    cost = json.loads((tmp_path / "out" / "pix2pix-small" / "cost.json").read_text())
    assert run.table is None and estimate.steps == 8 and not list((tmp_path / "out").rglob("job.json"))
    assert estimate.seconds == pytest.approx(3 * 8 * cost["seconds_per_step"])
    assert estimate.peak_memory_mb == cost["peak_memory_mb"] > 100
    print_bench(run)
    assert "pix2pix-small" in capsys.readouterr().out


def test_a_fault_of_one_method_does_not_end_the_comparison(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(function: Any, plan: Any, contender: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(bench_verb, "in_own_process", call)
    compare(fields, tmp_path / "out", "pix2pix-small")
    rows = rows_of(tmp_path / "out")
    assert rows["pix2pix-small"]["note"] == "1 training failed: ZeroDivisionError: division by zero"
    assert "1 training failed" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize(
    ("recipes", "named", "message"),
    [
        ((), {}, "recipes: none is named"),
        (("pix2pix-small",), {"seeds": 0}, "seeds: is 0"),
        (("pix2pix-small", "pix2pix-small"), {}, "two are called pix2pix-small"),
        (("pix2pix-small",), {"test_split": "test"}, "has no pairs in the split 'test'; held-out splits: val"),
        (("pix2pix-small",), {"metrics": ("sssim",)}, "'sssim' is not known"),
        (("pix2pix-small",), {"compare_with": "mist"}, "'mist' is not known"),
        (("pix2pix-small",), {"engine": "slurm"}, "engine is 'slurm'"),
        (("pix2pix-small",), {"batch": 0}, "batch: is 0"),
        (("pix2pix-small",), {"paper": "table6"}, "paper: is 'table6'"),
    ],
)
def test_a_wrong_choice_is_named(
    fields: Path, tmp_path: Path, recipes: tuple[str, ...], named: dict[str, Any], message: str
) -> None:
    with pytest.raises(RestainError, match=message):
        compare(fields, tmp_path / "out", *recipes, **named)


def test_a_table_of_the_paper_is_filled_in(fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(
        bench_verb, "_measure_costs", lambda plan, *_: seen.append(plan) or dict.fromkeys(plan.contenders, "no")
    )
    restain.bench(fields, out=tmp_path / "out", paper="table5", dry_run=True)
    (plan,) = seen
    assert [one.name for one in plan.contenders] == [
        "asp-dgrank",
        "asp-dgrank-baseline",
        "asp-dgrank-no-attention",
        "asp-dgrank-no-diffusion",
    ]
    assert plan.metrics == ("ssim", "fid", "kid", "psnr") and plan.compare_with == "mist-her2"
    assert plan.budget is None and plan.batch is None


@pytest.mark.parametrize(("batch", "expected"), [(None, 1), (3, 3), ("own", None)])
def test_images_per_step_of_a_budget(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: Any, expected: int | None
) -> None:
    seen = []
    monkeypatch.setattr(
        bench_verb, "_measure_costs", lambda plan, *_: seen.append(plan) or dict.fromkeys(plan.contenders, "no")
    )
    options = restain.BenchOptions(batch=batch)
    restain.bench(fields, ["pix2pix-small"], budget="2steps", out=tmp_path / "out", options=options, dry_run=True)
    assert seen[0].batch == expected
