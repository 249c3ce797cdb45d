"""Weights of pairs, from the manifest to the steps of a training."""

import csv
from pathlib import Path
from typing import Any

import pytest
from running import run

from restain.methods.contrastive import ContrastiveMethod


def weighted(pairs: Path, table: Path, weights: list[float]) -> Path:
    """A manifest beside the data in which the training pairs have these weights."""
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "source", "target", "split", "weight"])
        for split in ("train", "val"):
            for place, source in enumerate(sorted((pairs / f"{split}A").iterdir())):
                weight = weights[place] if split == "train" else ""
                writer.writerow([source.stem, source, pairs / f"{split}B" / source.name, split, weight])
    return table


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Name and weight of every pair that was trained on."""
    usual, pairs = ContrastiveMethod.forward_pass, []

    def forward_pass(self: ContrastiveMethod, batch: Any) -> Any:
        weights = [1.0] * len(batch.ids) if batch.weights is None else batch.weights.tolist()
        pairs.extend(zip(batch.ids, weights, strict=True))
        return usual(self, batch)

    monkeypatch.setattr(ContrastiveMethod, "forward_pass", forward_pass)
    return pairs


WEIGHTS = [1.0, 0.5, 0.25, 0.0, 1.0, 0.75]


def test_weights_reach_the_steps_and_light_pairs_are_left_out(
    pairs: Path,
    fast: tuple[str, ...],
    tmp_path: Path,
    seen: list[tuple[str, float]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = sorted(path.stem for path in (pairs / "trainA").iterdir())
    table = weighted(pairs, tmp_path / "manifest.csv", WEIGHTS)
    run(table, tmp_path / "run", fast, "data.min_weight=0.3")
    expected = {(name, weight) for name, weight in zip(names, WEIGHTS, strict=True) if weight >= 0.3}
    assert set(seen) == expected
    assert "2 training pairs weigh too little and are left out" in " ".join(capsys.readouterr().err.split())


def test_a_recipe_can_let_every_pair_count_fully(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, seen: list[tuple[str, float]]
) -> None:
    table = weighted(pairs, tmp_path / "manifest.csv", WEIGHTS)
    run(table, tmp_path / "run", fast, "data.pair_weights=false")
    assert len(set(seen)) == 6 and {weight for _, weight in seen} == {1.0}
