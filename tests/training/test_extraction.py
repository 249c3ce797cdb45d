"""The stainer of a checkpoint."""

from pathlib import Path

import pytest
from running import run
from small import FAST

import restain
from restain.errors import RestainError
from restain.files import read_json


def test_the_last_checkpoint_of_a_finished_run_gives_its_stainer(whole: Path, tmp_path: Path) -> None:
    out = restain.extract(whole, tmp_path / "stainer", device="cpu")
    made, own = restain.load_stainer(out), restain.load_stainer(whole)
    assert made.identity == own.identity  # weights and statistics
    assert made.card.trained == own.card.trained


def test_an_earlier_checkpoint_gives_other_weights(whole: Path, tmp_path: Path) -> None:
    best = whole / "checkpoints" / "best.pt"
    out = restain.extract(whole, tmp_path / "stainer", checkpoint=best, device="cpu")
    assert restain.load_stainer(out).card.trained["steps"] < 18


def test_what_cannot_be_extracted_leaves_nothing(whole: Path, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "stainer"
    with pytest.raises(RestainError, match="is not a run folder"):
        restain.extract(pairs, out)
    with pytest.raises(RestainError, match="is not a readable checkpoint"):
        restain.extract(whole, out, checkpoint=whole / "recipe.yaml")
    restain.phantom("er", tmp_path / "other", 3, 64)
    with pytest.raises(RestainError, match="other data"):
        restain.extract(whole, out, data=tmp_path / "other", device="cpu")
    other = run(pairs, tmp_path / "wide", FAST, "optim.steps=1", "generator.ngf=8").parent / "checkpoints"
    with pytest.raises(RestainError, match=r"was made by another recipe .*generator\.ngf"):
        restain.extract(whole, out, checkpoint=next(other.glob("step-*.pt")), device="cpu")
    with pytest.raises(RestainError, match="holds files"):
        restain.extract(whole, whole)
    assert not out.exists()


def test_a_run_without_a_checkpoint_says_so(pairs: Path, tmp_path: Path) -> None:
    finished = run(pairs, tmp_path / "run", FAST, "optim.steps=1").parent
    for saved in (finished / "checkpoints").iterdir():
        saved.unlink()
    assert read_json(finished / "data.json")["root"]
    with pytest.raises(RestainError, match="holds no checkpoint"):
        restain.extract(finished, tmp_path / "out")
