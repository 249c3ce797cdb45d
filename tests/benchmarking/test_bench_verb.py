"""Comparisons from one end to the other, killed and continued."""

import csv
import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benchmarking.conftest import NARROW, compare
from PIL import Image
from small import write_pairs
from training.running import interrupt_after
from typer.testing import CliRunner

import restain
from restain.benchmarking import bench_verb, training_job
from restain.benchmarking.bench_verb import BenchRun, Estimate
from restain.benchmarking.field_sheet import FIELDS, GAP, SIDE
from restain.cli import app
from restain.errors import RestainError, Stopped
from restain.evaluation import EvaluationOptions, evaluate
from restain.evaluation.schema import read_summary
from restain.methods.conditional import ConditionalMethod
from restain.reporting.score_sheet import ScoreSheet
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


def test_with_their_own_images_per_step_a_changed_number_is_another_recipe(
    fields: Path, tmp_path: Path, here: list[Any]
) -> None:
    recipe, name = tmp_path / "mine.yaml", "a-recipe-with-a-name-that-is-longer-than-most"
    recipe.write_text(f"extends: pix2pix-small\nname: {name}\noptim: {{batch: 1}}\n")
    compare(fields, tmp_path / "out", str(recipe), batch="own")
    with Image.open(tmp_path / "out" / "fields.jpg") as sheet:
        assert sheet.width - FIELDS * (SIDE + GAP) > 250  # pixels that the name has room in
    recipe.write_text(f"extends: pix2pix-small\nname: {name}\noptim: {{batch: 2}}\n")
    with pytest.raises(RestainError, match=r"was trained by another recipe \(optim.batch was 1, now 2\)"):
        compare(fields, tmp_path / "out", str(recipe), batch="own")


def test_other_questions_to_a_finished_comparison_evaluate_again_and_train_nothing(
    fields: Path, tmp_path: Path, here: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    compare(fields, out, "pix2pix-small", metrics=("ssim",))
    weights = load_stainer(out / "pix2pix-small" / "seed-0" / "run").identity
    monkeypatch.setattr(training_job, "train", None)  # must not be called

    def again(**named: Any) -> tuple[bool, str]:
        """Whether a job was run for it, and the table."""
        here.clear()
        assert compare(fields, out, "pix2pix-small", **named).done == 1
        return "run_job" in [name for name, _ in here], (out / "table.md").read_text()

    more = {"metrics": ("ssim", "fid", "dab_mean_od"), "compare_with": "mist-her2"}
    assert again(metrics=("ssim",))[0] is False
    evaluated, table = again(**more)
    assert evaluated and "DAB mean OD" in table and "do not compare" in table
    assert "Not computed: FID (" in table and "restain weights fetch" in table
    assert again(**more) == (False, table)
    usual = training_job.asked_of
    job = out / "pix2pix-small" / "seed-0"
    for part in ("virtual", "evaluation"):
        shutil.rmtree(job / part)
        assert again(**more) == (True, table) and (job / part).is_dir()
    fetched = {"fid": {"name": "inception", "sha256": "0"}}
    monkeypatch.setattr(training_job, "asked_of", lambda plan: usual(plan).model_copy(update={"weights": fetched}))
    assert again(**more)[0] is True
    assert load_stainer(job / "run").identity == weights


def test_a_cost_is_measured_again_for_another_recipe_or_device(
    fields: Path, tmp_path: Path, here: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = tmp_path / "mine.yaml", tmp_path / "out"

    def measured(weight: int, **named: Any) -> bool:
        recipe.write_text(f"extends: pix2pix-small\nname: mine\nl1: {{weight: {weight}}}\n")
        here.clear()
        compare(fields, out, str(recipe), **named)
        return "measure_cost" in [name for name, _ in here]

    assert measured(3, dry_run=True) and not measured(3, dry_run=True)
    assert measured(2, dry_run=True, budget="9steps")  # no training yet: the budget can still be another
    with monkeypatch.context() as patch:
        patch.setattr(bench_verb, "_device", lambda *_: "another GPU")
        assert measured(2, dry_run=True)
    assert not measured(2)
    monkeypatch.setattr(bench_verb, "_device", lambda *_: "another GPU")
    assert not measured(2)  # the training's number of steps came from it


def test_a_data_set_that_holds_out_a_test_split_alone_is_evaluated_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_pairs(tmp_path / "data", train=2, val=2)
    for side in "AB":
        (data / f"val{side}").rename(data / f"test{side}")
    seen: list[Any] = []
    monkeypatch.setattr(
        bench_verb, "_measure_costs", lambda plan, *_: seen.append(plan) or dict.fromkeys(plan.contenders, "no")
    )
    restain.bench(data, out=tmp_path / "out", paper="table2", dry_run=True)
    assert seen[0].split == "test" and seen[0].compare_with == "bci"


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
    unknown = replace(estimate, name="on-mps", peak_memory_mb=None)
    print_bench(replace(run, estimates=(estimate, unknown)))
    shown = capsys.readouterr().out
    assert "pix2pix-small" in shown and "–" in next(line for line in shown.splitlines() if "on-mps" in line)


def test_a_fault_of_one_method_does_not_end_the_comparison(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(function: Any, plan: Any, contender: Any) -> None:
        raise RestainError("ZeroDivisionError: division by zero")

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
        (("pix2pix-small",), {"overrides": ("seed=5",)}, "overrides: set seed, which --seeds decides"),
        (("pix2pix-small",), {"overrides": ("optim={steps: null}",)}, "set optim.steps, which --budget decides"),
        (("pix2pix-small",), {"overrides": ("optim.accumulate=2",)}, "set optim.accumulate, which --batch decides"),
        (("pix2pix-small",), {"test_split": "train"}, "test_split: is 'train'; expected val or test"),
        (("pix2pix-small",), {"device": "gpu"}, "device is 'gpu'"),
        (("pix2pix-small",), {"groups": "absent.csv"}, "groups: absent.csv: no such file"),
        (("pix2pix-small",), {"seeds": "3"}, "seeds: is '3'"),
        (("pix2pix-small",), {"batch": "4"}, "batch: is '4'"),
        (("pix2pix-small",), {"budget": 2000}, "budget: is 2000"),
        (("pix2pix-small",), {"metrics": "ssim"}, "metrics: is the text 'ssim'; expected a list"),
    ],
)
def test_a_wrong_choice_is_named(
    fields: Path, tmp_path: Path, recipes: tuple[str, ...], named: dict[str, Any], message: str
) -> None:
    with pytest.raises(RestainError, match=message):
        compare(fields, tmp_path / "out", *recipes, **named)
    assert not (tmp_path / "out" / "bench.json").exists()


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


@pytest.mark.parametrize(("problem", "done", "status"), [("", 1, 0), ("", 0, 1), ("broken", None, 1), ("", None, 0)])
def test_the_command_fails_where_no_system_has_a_training(
    monkeypatch: pytest.MonkeyPatch, problem: str, done: int | None, status: int
) -> None:
    estimate = Estimate(name="mine", steps=4, seconds=1.0, peak_memory_mb=1.0, problem=problem)
    table = None if done is None else ScoreSheet(title="mine", columns=(), rows=())  # None: a dry run
    asked: list[Any] = []
    monkeypatch.setattr(
        restain,
        "bench",
        lambda data, recipes, **_: asked.append(recipes) or BenchRun(Path("out"), (estimate,), table, done=done or 0),
    )
    assert CliRunner().invoke(app, ["bench", "--data", ".", "--recipes", "mine, yours"]).exit_code == status
    assert asked == [["mine", "yours"]]


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
