"""What is printed before a training, and a dry run that leaves nothing behind."""

from pathlib import Path

import pytest
from running import CPU, ONCE, call, command, last_state, run
from small import write_pairs

from restain.data.layouts import find_pairs
from restain.errors import RestainError
from restain.recipes import load_recipe
from restain.run_folder import RunFolder
from restain.training.distributed import launch
from restain.training.estimate import STEPS, WARM_UP, estimate_training, time_steps
from restain.training.loop import Trainer
from restain.training.outline import NO_MPP, NO_STAIN, outline_of


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def test_a_dry_run_measures_and_writes_nothing(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    before = files(pairs)
    estimate = estimate_training(pairs, tmp_path / "run", "tiny", overrides=[*fast, "data.mpp=0.25"], machine=CPU)
    assert estimate is not None and not (tmp_path / "run").exists() and files(pairs) == before
    outline, cost = estimate.outline, estimate.cost
    assert (outline.training_images, outline.held_out, outline.layout) == (6, 2, "mist")
    assert (outline.steps, outline.first_step, outline.epochs, outline.mpp) == (18, 0, 3, 0.25)
    assert 0 < cost.seconds < 10 and cost.measured == STEPS - WARM_UP
    assert cost.peak_bytes is not None and 5e7 < cost.peak_bytes < 2e10
    assert estimate.seconds == cost.seconds * 18


def test_the_lines_name_what_is_not_set(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    def lines(*more: str) -> str:
        recipe = load_recipe("tiny", [*fast, *more])
        return "\n".join(
            outline_of(Trainer(launch(recipe, CPU), recipe, find_pairs(pairs)), RunFolder(tmp_path / "r")).lines()
        )

    bare = lines()
    assert NO_MPP in bare and NO_STAIN in bare
    assert f"{pairs} (layout mist): 6 pairs, 2 held-out pairs" in bare and "CPU, 1 process, precision 32" in bare
    told = lines("data.mpp=0.4661", "data.stain=HER2", "optim.batch=2", "optim.accumulate=3", "log.samples=7")
    assert "0.4661 µm/px" in told and "HER2" in told and "not set" not in told
    assert "6 images per step (2 x 3 accumulated), crops of 40 px" in told and "r/samples, every 7 steps" in told


def test_a_dry_run_of_a_resumed_run_counts_what_is_left(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path, fast, *ONCE)
    state = last_state(tmp_path)
    with pytest.raises(RestainError, match="already holds a run"):
        estimate_training(pairs, tmp_path, "tiny", overrides=[*fast, *ONCE], machine=CPU)
    before = {path: path.stat().st_mtime_ns for path in files(tmp_path)}
    estimate = estimate_training(pairs, tmp_path, "tiny", overrides=[*fast, *ONCE], resume=True, machine=CPU)
    assert estimate is not None and estimate.outline.first_step == state["step"] == 6 and estimate.seconds == 0
    assert {path: path.stat().st_mtime_ns for path in files(tmp_path)} == before


def test_steps_are_timed_from_where_a_trainer_is(pairs: Path, fast: tuple[str, ...]) -> None:
    recipe = load_recipe("tiny", fast)
    trainer = Trainer(launch(recipe, CPU), recipe, find_pairs(pairs))
    trainer.step = 5
    assert time_steps(trainer, "measure", 6).measured == 3 and trainer.step == 11


def test_the_command_prints_the_estimate_and_a_training_its_header(fast: tuple[str, ...], tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", train=2, val=1)
    dry = call(command(data, tmp_path / "run", (*fast, "optim.steps=2"), "--dry-run"))
    assert dry.returncode == 0, dry.stderr
    assert "Nothing was written." in dry.stdout and "s per step" in dry.stdout and not (tmp_path / "run").exists()
    real = call(command(data, tmp_path / "run", (*fast, "optim.steps=2")))
    assert real.returncode == 0, real.stderr
    header = real.stderr[: real.stderr.index("train tiny:")]
    assert f"out         {tmp_path / 'run'}" in header and NO_MPP in header and "(layout mist): 2 pairs" in header
    assert "2/2 steps, 100 %, 0:00:00 left" in real.stderr
