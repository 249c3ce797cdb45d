"""Every shipped recipe keeps the contract of methods: in single steps, in runs, and in what its stainer is used for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contract
import numpy as np
import pytest
import tifffile
import torch
from contract import batch_for, independent, narrow, small
from small import SHORT_RUN, write_pairs
from small_slides import MPP, draw_tissue, write_slide
from stepping import build

import restain
from restain.calibration import FEWEST
from restain.images import read_rgb
from restain.recipes import recipe_names
from restain.slides.record import read_record
from restain.training.checkpoint import checkpoints, load_checkpoint
from restain.training.loop import Trainer

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
    """Pairs with labels, which some methods need."""
    folder = write_pairs(tmp_path_factory.mktemp("tissue"), train=4, val=3, size=64)
    rows = [
        f"{path.stem},{split}A/{path.name},{split}B/{path.name},{split},{('tumour', 'normal')[number % 2]}"
        for split in ("train", "val")
        for number, path in enumerate(sorted((folder / f"{split}A").iterdir()))
    ]
    (folder / "manifest.csv").write_text("\n".join(["id,source,target,split,label", *rows]) + "\n")
    return folder


# Steps so long that an image is more than grey after four of them.
RUN = (*SHORT_RUN, "optim.steps=4", "validation.every=4", "optim.lr=0.005")


def switches(values: Any) -> Any:
    """What decides which code a recipe runs: all but the sizes of numbers that are not 0."""
    if isinstance(values, dict):
        return {key: switches(value) for key, value in values.items() if key not in ("name", "about")}
    if isinstance(values, int | float) and not isinstance(values, bool):
        return values != 0
    return values if isinstance(values, str | bool | None) else len(values)


def firsts(key: Callable[[str], object]) -> list[str]:
    """The first recipe, by name, for each value of a key."""
    found: dict[str, str] = {}
    for name in RECIPES:
        found.setdefault(json.dumps(key(name), sort_keys=True), name)
    return list(found.values())


DIFFERENT = firsts(lambda name: switches(small(name, *RUN).to_flat()))
ARCHITECTURES = firsts(lambda name: small(name).generator.plain().model_dump())


def few_crops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calibrate on as few crops as are allowed: the statistics are not what is looked at here."""
    monkeypatch.setattr(Trainer.crops, "__defaults__", (FEWEST,))


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


def trained(tissue: Path, out: Path, name: str, *overrides: str) -> Path:
    restain.train(tissue, out, name, overrides=(*narrow(name), *RUN, *overrides), machine=CPU)
    return out


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_run_resumes_to_equal_bits_and_its_stainer_stains_alike(
    name: str, tissue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_crops(monkeypatch)
    whole, parts = trained(tissue, tmp_path / "whole", name), tmp_path / "parts"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(3, name, patch)  # a step past the checkpoint at 2
        trained(tissue, parts, name)
    restain.train(tissue, parts, resume=True, machine=CPU)
    states = [load_checkpoint(checkpoints(run / "checkpoints")[-1]) for run in (whole, parts)]
    assert states[0]["step"] == states[1]["step"] == 4
    for key, value in states[0]["method"].items():
        assert torch.equal(value, states[1]["method"][key]), key
    for run in (whole, parts):
        stained = restain.stain(run, tissue / "valA", run / "virtual", precision="32")
        assert len(stained.written) == 3 and not stained.failed
    images = [read_rgb(run / "virtual" / "s0_0_0.png") for run in (whole, parts)]
    assert images[0].shape == (64, 64, 3)
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("name", sorted(set(RECIPES) - set(DIFFERENT)))
def test_a_recipe_that_differs_in_numbers_alone_trains_and_stains(
    name: str, tissue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_crops(monkeypatch)
    run = trained(tissue, tmp_path / "run", name, "optim.steps=1", "validation.every=0")
    stained = restain.stain(run, tissue / "valA", tmp_path / "virtual", precision="32")
    assert len(stained.written) == 3 and not stained.failed


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_is_exported_and_stains_slides(
    name: str, tissue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few_crops(monkeypatch)
    run = trained(tissue, tmp_path / "run", name, *shallow(name))
    stochastic = restain.load_stainer(run).generator.stochastic  # other noise in the file would show above rounding
    assert restain.export(run, tmp_path / "stainer.onnx").largest_difference <= (0.05 if stochastic else 1)

    he = write_slide(tmp_path / "he.tif", draw_tissue(300, 420))
    slides, blended = [], []
    for tile in (192, 256):
        options = restain.SlideOptions(tile=tile, model_mpp=MPP, lossless=True, stain_background=True, precision="32")
        out = tmp_path / f"tiles-{tile}"
        failed = restain.slide(run, he, out, options=options).failed
        assert not failed, failed
        made_by = read_record(out / "he.json").made_by
        assert made_by is not None
        blended.append(made_by.identity.feather > 0)
        slides.append(np.asarray(tifffile.imread(out / "he.ome.tif")).astype(int))
    radius = restain.load_stainer(run).generator.receptive_field().radius
    assert blended == [radius > tile / 2 for tile in (192, 256)]  # blended tiles are in the record
    assert slides[0].shape == slides[1].shape == (300, 420, 3)
    assert slides[0].std() > 0
    if not any(blended):
        assert np.abs(slides[0] - slides[1]).max() <= 1


def shallow(name: str) -> list[str]:
    """Overrides that leave a ResNet one block, which tells nothing less about its architecture."""
    fields = small(name).to_flat()
    blocks = ["generator.blocks=1"] if "blocks" in fields["generator"] else []
    return [*blocks, *(["patches.layers=[0, 4]"] if "patches" in fields else [])]
