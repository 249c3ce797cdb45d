"""Trainings of a few steps: started here or as a command, interrupted, and compared by what they leave behind."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from restain.methods.contrastive import ContrastiveMethod
from restain.training.checkpoint import checkpoints, load_checkpoint
from restain.training.distributed import Machine
from restain.training.session import train

WHOLE = ("optim.ema=0.9", "validation.every=5")  # of the fixture that is run once
CPU = Machine(device="cpu")
ONCE = ("optim.epochs=1", "optim.decay_epochs=0", "log.every=1")

# Power iterations of spectral norms count passes, of which a divided step makes more.
UNNORMED = ("generator.spectral_norm=false", "discriminator.spectral_norm=false", "log.every=1")

# Rounding differs between two divisions of a step, and Adam turns the rounding noise in a gradient that should be zero
# (a bias in front of an instance norm) into full steps, so biases are left out and the rest is compared to a per cent:
# another seed is a hundred times further away.
CLOSE, FAR = 1e-2, 0.5


def run(pairs: Path, out: Path, fast: Sequence[str], *more: str, recipe: str = "tiny", resume: bool = False) -> Path:
    """Train in this process."""
    return train(pairs, out, recipe, overrides=(*fast, *more), resume=resume, machine=CPU)


def command(pairs: Path, out: Path, fast: Sequence[str], *more: str, recipe: str = "tiny") -> list[str]:
    """The command line that does what ``run`` does."""
    sets = [word for override in fast for word in ("--set", override)]
    start = [sys.executable, "-m", "restain.cli", "train", "--recipe", recipe, "--device", "cpu"]
    return [*start, "--data", str(pairs), "--out", str(out), *sets, *more]


def scripted(line: Sequence[str], script: Path, code: str) -> list[str]:
    """A command line that runs ``code`` before restain's own; ``main()`` at the end is added."""
    script.write_text(f"from restain.cli import main\n{code}\nmain()\n")
    return [line[0], str(script), *line[3:]]


def call(line: Sequence[str], timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    return subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=timeout)


def environment() -> dict[str, str]:
    """One thread for each process."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def interrupt_after(
    monkeypatch: pytest.MonkeyPatch, steps: int, method: type = ContrastiveMethod, error: type = KeyboardInterrupt
) -> None:
    """End a training that starts at step 0 within the step that follows ``steps`` finished ones."""
    usual, seen = method.after_step, []

    def after_step(self: Any, *arguments: Any) -> None:
        usual(self, *arguments)
        seen.append(1)
        if len(seen) > steps:
            raise error

    monkeypatch.setattr(method, "after_step", after_step)


def last_state(out: Path) -> dict[str, Any]:
    """The last checkpoint of a run."""
    return load_checkpoint(checkpoints(out / "checkpoints")[-1])


def kept_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder."""
    return [load_checkpoint(path)["step"] for path in checkpoints(folder)]


def equal(first: Any, second: Any) -> bool:
    """Whether two states are equal, bit for bit."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(equal(a, b) for a, b in zip(first, second, strict=True))
    return bool(first == second)


def log(out: Path, name: str = "train") -> list[dict[str, float]]:
    """Rows of ``logs/NAME.csv``."""
    with (out / "logs" / f"{name}.csv").open() as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def logged_steps(out: Path, name: str = "train") -> list[int]:
    """Steps of the rows of a log."""
    return [int(row["step"]) for row in log(out, name)]


def first_terms(out: Path) -> dict[str, float]:
    """The first line of the log; with ``log.every=1``, every term of the first step, before rounding can grow."""
    return {name: value for name, value in log(out)[0].items() if name != "images_per_second"}


def weights(out: Path) -> torch.Tensor:
    """All weights of a run's last checkpoint, one after the other."""
    state = last_state(out)["method"]
    return torch.cat([value.double().flatten() for name, value in state.items() if name.endswith("weight")])


def relative_difference(first: Path, second: Path) -> float:
    """How far the weights of two runs are apart."""
    a, b = weights(first), weights(second)
    return ((a - b).norm() / a.norm()).item()
