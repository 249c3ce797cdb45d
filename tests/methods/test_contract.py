"""Every shipped recipe keeps the contract of methods: in single steps, and in a run up to an exported stainer."""

from pathlib import Path
from typing import Any

import contract
import pytest
import torch
from contract import batch_for, independent, narrow, small
from small import SHORT_RUN, write_pairs
from stepping import build

import restain
from restain.images import read_rgb
from restain.recipes import recipe_names
from restain.tensors import to_tensor
from restain.training.checkpoint import checkpoints, load_checkpoint

RECIPES = recipe_names()
CPU = restain.Machine(device="cpu")


@pytest.mark.parametrize("name", RECIPES)
def test_single_steps(name: str) -> None:
    recipe = small(name)
    method, batch = build(recipe), batch_for(recipe)
    contract.the_phases_share_no_network_and_leave_none_out(method)
    contract.a_step_is_finite_and_reaches_its_phase_only(method, batch)
    contract.the_stainer_is_one_object_that_translates(method, batch)
    contract.a_copy_from_a_state_takes_the_same_step(recipe, batch)


@pytest.mark.parametrize("name", RECIPES)
def test_a_batch_is_its_images(name: str) -> None:
    recipe = small(name, *independent(name))
    contract.a_batch_of_two_is_two_of_one(build(recipe), batch_for(recipe))


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("tissue"), train=4, val=3, size=64)


def interrupt_after(steps: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """End the training of a recipe in the middle of a step, as Ctrl-C twice does."""
    method = type(build(small(name)))
    usual, finished = method.after_step, []

    def after_step(self: Any, *arguments: Any) -> None:
        usual(self, *arguments)
        finished.append(1)
        if len(finished) > steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(method, "after_step", after_step)


@pytest.mark.parametrize("name", RECIPES)
def test_a_run_resumes_to_equal_bits_and_its_stainer_is_used(
    name: str, tissue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = (*narrow(name), *SHORT_RUN)
    torch.manual_seed(0)  # of dropout
    restain.train(tissue, tmp_path / "whole", name, overrides=overrides, machine=CPU)
    torch.manual_seed(0)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(3, name, patch)
        restain.train(tissue, tmp_path / "parts", name, overrides=overrides, machine=CPU)
    restain.train(tissue, tmp_path / "parts", resume=True, machine=CPU)
    states = [load_checkpoint(checkpoints(tmp_path / run / "checkpoints")[-1]) for run in ("whole", "parts")]
    assert states[0]["step"] == states[1]["step"] == 6
    for key, value in states[0]["method"].items():
        assert torch.equal(value, states[1]["method"][key]), key

    stainer = restain.load_stainer(tmp_path / "whole")
    he = to_tensor(read_rgb(tissue / "valA" / "s0_0_0.png"))[None]
    assert stainer.generator(he).shape == he.shape
    assert restain.export(tmp_path / "whole", tmp_path / "stainer.onnx").largest_difference <= 1
