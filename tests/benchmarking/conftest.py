"""A data set for comparisons, and comparisons that run in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small import SMALL_NETWORKS, write_pairs

import restain
from restain.benchmarking import bench_verb
from restain.benchmarking.bench_verb import BenchRun

# Narrow networks for pix2pix-small and pix2pix-resnet-small alike, and steps so long that four make more than grey.
NARROW = (
    *SMALL_NETWORKS["conditional"],
    "generator.ngf=4",
    "data.crop=32",
    "data.scale=1",
    "validation.crops=2",
    "optim.lr=0.01",
)
METRICS = ("ssim", "dab_mean_od_error", "dab_pearson_r")


@pytest.fixture(scope="session")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four training pairs and nine for validation, 48 pixels."""
    return write_pairs(tmp_path_factory.mktemp("fields"), train=4, val=9)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Comparisons run their jobs in this process; what they run is listed."""
    called: list[Any] = []

    def call(function: Callable[..., Any], *arguments: Any) -> Any:
        called.append((function.__name__, arguments))
        return function(*arguments)

    monkeypatch.setattr(bench_verb, "in_own_process", call)
    return called


def compare(data: Path, out: Path, *recipes: str, overrides: tuple[str, ...] = NARROW, **named: Any) -> BenchRun:
    """A comparison of a few steps."""
    choices = {"budget": "4steps", "seeds": 1, "metrics": METRICS, "groups": "none", "device": "cpu"} | named
    of_verb = {name: choices.pop(name) for name in ("budget", "seeds", "engine", "dry_run", "paper") if name in choices}
    options = restain.BenchOptions(overrides=overrides, **choices)
    return restain.bench(data, recipes, out=out, options=options, **of_verb)
