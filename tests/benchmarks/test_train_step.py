"""The plain step of the benchmark is a second writing of Eq. 1-8: the method must give its losses and gradients."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from stepping import build

from restain.recipes import load_recipe
from restain.types import Batch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SMALL = ["data.crop=48", "generator.ngf=4", "generator.blocks=5", "discriminator.ndf=4", "discriminator.layers=2"]


@pytest.fixture
def plain_step(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import plain_step

    return plain_step


def small(recipe="tiny", *overrides):
    method = build(load_recipe(recipe, [*SMALL, *overrides]))
    if method.adversarial.horizon is not None:
        method.adversarial.horizon.p.fill_(0.5)  # T about 500: images are noised well beyond rounding
    source, target = (
        torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(seed)) * 2 - 1 for seed in (1, 2)
    )
    return method, Batch(source, target, ("a", "b"), (11, 12))


@pytest.mark.parametrize(
    "recipe",
    ["tiny", "asp-dgrank-no-attention", "asp-dgrank-no-diffusion", "asp-dgrank-baseline", "asp", "cut-lgp"],
)
def test_the_step_is_the_formulas(plain_step, recipe):
    method, batch = small(recipe, "patch_nce.identity=false", "diffusion.sigma=1.0")
    assert plain_step.prove(method, batch) < plain_step.TOLERANCE


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("generator", lambda loss: loss * 1.001),
        ("discriminator", lambda loss: loss + 0.001),
    ],
)
def test_the_proof_refuses_a_step_that_differs(plain_step, monkeypatch, name, change):
    method, batch = small()
    usual = method.loss

    def altered(phase, *arguments):
        step = usual(phase, *arguments)
        return type(step)(change(step.loss), step.terms) if phase.name == name else step

    monkeypatch.setattr(method, "loss", altered)
    with pytest.raises(SystemExit, match=f"{name} phase: loss differs"):
        plain_step.prove(method, batch)


def test_the_proof_refuses_gradients_of_other_networks(plain_step, monkeypatch):
    method, batch = small()
    own_loss = plain_step.own_loss

    def unfrozen(method, phase, batch):
        with monkeypatch.context() as patch:
            patch.setattr(method, "only", lambda phase: torch.enable_grad())
            return own_loss(method, phase, batch)

    monkeypatch.setattr(plain_step, "own_loss", unfrozen)
    with pytest.raises(SystemExit, match="generator phase: gradients of"):
        plain_step.prove(method, batch)


def test_the_command_writes_its_figures(tmp_path):
    out = tmp_path / "step.json"
    options = ["--crop", "48", "--steps", "1", "--rounds", "1", "--json", str(out), "--set", *SMALL]
    subprocess.run([sys.executable, str(BENCHMARKS / "train_step.py"), *options], check=True, capture_output=True)
    found = json.loads(out.read_text())
    assert found["speedup"] == pytest.approx(found["baseline_ms_per_step"] / found["ms_per_step"])
    assert found["memory_ratio"] == pytest.approx(found["peak_rss_mb"] / found["baseline_peak_rss_mb"])
    assert found["images_per_second"] == pytest.approx(1000 / found["ms_per_step"])
    assert 0 < found["largest_difference"] < 2e-5
    assert {"cpu_ms_per_step", "baseline_cpu_ms_per_step", "device", "threads", "versions"} <= found.keys()
