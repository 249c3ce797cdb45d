"""What a run leaves behind, and which folders it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from running import CPU, ONCE, equal, interrupt_after, kept_steps, last_state, run
from small import write_pairs
from torch import nn

import restain
from restain.calibration import calibrate, training_crops
from restain.data.layouts import find_pairs
from restain.errors import RestainError
from restain.images import write_png
from restain.networks.statistics import measure
from restain.run_folder import RunFolder
from restain.stainer_files import load_stainer
from restain.training.session import open_trainer, train


def test_the_run_folder_holds_what_it_says(whole: Path) -> None:
    for name in ("recipe.yaml", "environment.json", "data.json", "stainer/README.md", "samples/step-00000018.png"):
        assert (whole / name).is_file(), name
    assert len(list((whole / "attention").glob("*-layer*.png"))) == 2 * 5
    assert kept_steps(whole / "checkpoints") == [16, 18]
    stainer = load_stainer(whole)
    assert stainer.card.recipe == "tiny" and stainer.card.trained["steps"] == 18
    assert not any(path.name.startswith(".") for path in whole.rglob("*"))


def test_batch_norms_hold_averages_over_training_crops_in_batches_as_trained(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    stainer = load_stainer(run(pairs, tmp_path / "run", fast, "optim.batch=3", recipe="restain-small"))
    norms = [module for module in stainer.generator.modules() if isinstance(module, nn.BatchNorm2d)]
    held = [norm.running_mean for norm in norms]
    he = [record.source for record in find_pairs(pairs, "B").pairs("train")]
    for batch, same in ((3, True), (1, False)):
        crops = training_crops(he, side=40, seed=0)
        assert all(map(torch.equal, held, measure(stainer.generator, crops, batch).means)) == same


def test_a_run_folders_own_recipe_repeats_the_run(pairs: Path, whole: Path, tmp_path: Path) -> None:
    train(pairs, tmp_path / "again", whole / "recipe.yaml", machine=CPU)
    assert equal(last_state(tmp_path / "again")["method"], last_state(whole)["method"])


def test_a_session_is_noted_where_something_was_trained(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 5)
        run(pairs, folder.root, fast)
    train(pairs, folder.root, overrides=("engine.workers=1",), resume=True, machine=CPU)  # the folder's own recipe
    sessions = folder.read_environment().sessions
    assert [session.first_step for session in sessions] == [0, 4]
    assert {session.torch for session in sessions} == {torch.__version__}
    assert all(session.processes == 1 and session.device == "CPU" for session in sessions)
    before = {path: path.read_bytes() for path in (folder.environment, folder.log)}
    train(pairs, folder.root, resume=True, machine=CPU)  # nothing is left to do
    assert {path: path.read_bytes() for path in before} == before
    assert last_state(folder.root)["step"] == 18


def test_data_that_were_trained_on_are_named(pairs: Path, whole: Path) -> None:
    used = json.loads((whole / "data.json").read_text())
    assert used["root"] == str(pairs.resolve()) and used["splits"] == {"train": 6, "val": 2}
    assert used["fingerprint"] == last_state(whole)["data"] == load_stainer(whole).card.trained["data_fingerprint"]


def test_folders_that_are_no_run_are_refused(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "love.txt").write_text("dear")
    for resume in (False, True):
        with pytest.raises(
            RestainError, match=r"letters: contains files that are not a run; expected a new or an empty"
        ):
            run(pairs, tmp_path / "letters", fast, resume=resume)
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["love.txt"]
    with pytest.raises(RestainError, match=r"love\.txt: is a file; expected a folder for the run"):
        run(pairs, tmp_path / "letters" / "love.txt", fast)


def test_trackers_that_are_not_installed_are_refused_before_anything_else(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restain.tracking._installed", lambda package: False)
    with pytest.raises(RestainError, match=r"tracker wandb needs a package .* pip install 'restain\[wandb\]'"):
        run(pairs, tmp_path / "run", fast, "log.trackers=[wandb]")
    assert not (tmp_path / "run").exists()


def test_unpaired_folders_with_other_names_train(fast: tuple[str, ...], tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", val=0)
    for index, path in enumerate(sorted((data / "trainB").iterdir())[:4]):
        path.rename(path.with_name(f"ihc_{index}.png"))
    for path in sorted((data / "trainB").iterdir()):
        if not path.name.startswith("ihc"):
            path.unlink()
    run(data, tmp_path / "run", fast, recipe="asp-dgrank-unpaired")
    assert last_state(tmp_path / "run")["step"] == 18
    load_stainer(tmp_path / "run")
    with pytest.raises(RestainError, match="no H&E/IHC pairs"):
        run(data, tmp_path / "paired", fast)


def test_h_and_e_that_is_not_trained_on_cannot_keep_the_stainer_from_being_written(
    fast: tuple[str, ...], tmp_path: Path
) -> None:
    data = write_pairs(tmp_path / "data", val=0)
    write_png(data / "trainA" / "alone.png", np.full((8, 8, 3), 200, np.uint8))  # smaller than a crop
    run(data, tmp_path / "run", fast, *ONCE)
    assert load_stainer(tmp_path / "run").calibration is not None


def test_a_finished_run_keeps_its_stainer_as_it_is(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path / "run", fast, "optim.steps=2")
    trained = load_stainer(tmp_path / "run").identity
    calibrate(tmp_path / "run", pairs, crops=50, seed=9, device="cpu")
    own = load_stainer(tmp_path / "run").identity
    run(pairs, tmp_path / "run", fast, "optim.steps=2", resume=True)
    assert load_stainer(tmp_path / "run").identity == own != trained


def test_the_moving_average_is_looked_at_as_it_is_written(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    overrides = (*fast, "optim.ema=0.9", "optim.steps=4")
    trainer, _ = open_trainer(pairs, tmp_path / "run", "tiny", overrides=overrides, resume=False, machine=CPU)
    for weights in trainer.average.module.parameters():
        weights.data.normal_()  # far from what the estimates of the spectral norms were made for
    normed = [module for module in trainer.stainer().modules() if hasattr(module, "parametrizations")]
    assert normed
    for module in normed:
        assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.2)


def test_the_verb_is_the_one_of_the_package() -> None:
    assert restain.train is train and restain.Machine is type(CPU)
