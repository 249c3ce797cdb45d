"""Scores on held-out fields during a run: what they are, the best checkpoint, and when they end a run."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import kept_steps, last_state, log, run
from skimage.metrics import structural_similarity
from small import write_pairs

from restain.data.layouts import find_pairs
from restain.errors import RestainError
from restain.images import read_rgb
from restain.methods.contrastive import ContrastiveMethod
from restain.networks.statistics import freeze, measure
from restain.run_folder import RunFolder
from restain.stainer_files import load_stainer
from restain.tensors import to_rgb, to_tensor
from restain.training import validation
from restain.training.checkpoint import load_checkpoint
from restain.training.validation import held_out, score_fields


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four fields to train on, three to validate on, two to test on."""
    return write_pairs(tmp_path_factory.mktemp("fields"), train=4, val=4)


def dab_density(rgb: np.ndarray) -> float:
    """Mean share of DAB in each pixel's optical density, by solving for haematoxylin, DAB and what neither holds."""
    haematoxylin, dab = np.array([0.650, 0.704, 0.286]), np.array([0.268, 0.570, 0.776])
    stains = [vector / np.linalg.norm(vector) for vector in (haematoxylin, dab, np.cross(haematoxylin, dab))]
    density = -np.log10(np.maximum(rgb.reshape(-1, 3), 1) / 255)
    return float(np.maximum(np.linalg.solve(np.stack(stains, axis=1), density.T)[1], 0).mean())


def test_scores_are_those_of_the_frozen_network_on_the_held_out_fields(fields: Path) -> None:
    torch.manual_seed(0)
    from restain.networks.specs import ResnetSpec

    generator = ResnetSpec(ngf=4, blocks=2, init="normal").build()
    with torch.no_grad():  # away from its start, where every image comes out the same
        for weight in generator.parameters():
            weight.mul_(8)
    records = held_out(find_pairs(fields))
    assert [record.id for record in records] == ["s0_0_0", "s1_0_1", "s2_0_2", "s3_0_3"]
    crops = [to_tensor(read_rgb(fields / "trainA" / f"s{n}_0_{n}.png"))[None] for n in range(4)]
    scores = score_fields(generator, records, iter(crops))

    network = freeze(generator.eval(), measure(generator, crops))
    similar, amounts = [], []
    for record in records:
        he, real = (read_rgb(fields / f"val{side}" / f"{record.id}.png") for side in "AB")
        with torch.no_grad():
            fake = to_rgb(network(to_tensor(he)[None])[0])
        similar.append(
            structural_similarity(
                real, fake, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
            )
        )
        amounts.append([dab_density(image) for image in (fake, real)])
    a, b = np.array(amounts).T
    assert scores["ssim"] == pytest.approx(np.mean(similar), abs=0.02)  # scikit-image's window differs at the border
    assert scores["dab_error"] == pytest.approx(np.abs(a - b).mean(), abs=1e-5)
    assert scores["dab_r"] == pytest.approx(np.corrcoef(a, b)[0, 1], abs=1e-4)


def fixed_scores(monkeypatch: pytest.MonkeyPatch, scores: list[float], name: str = "dab_error") -> list[int]:
    """Let validations give the scores of a list, in order; returns how often one was asked for."""
    asked: list[int] = []

    def score(*_: Any) -> dict[str, float]:
        asked.append(1)
        return {"ssim": 0.5, "dab_error": 0.5, "dab_r": 0.5, name: scores[len(asked) - 1]}

    monkeypatch.setattr(validation, "score_fields", score)
    return asked


@pytest.mark.parametrize(
    ("name", "scores", "best"),
    [
        ("dab_error", [0.3, 0.1, 0.2, 0.1, 0.4, 0.5], 6),
        ("ssim", [0.3, 0.1, 0.4, 0.4, 0.2, 0.1], 9),
        ("dab_r", [-0.3, -0.1, -0.2, -0.5, -0.4, 0.5], 18),
    ],
)
def test_the_best_checkpoint_is_the_state_of_the_best_validation(
    fields: Path,
    fast: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    scores: list[float],
    best: int,
) -> None:
    states: dict[int, torch.Tensor] = {}
    usual = ContrastiveMethod.after_step

    def after_step(self: ContrastiveMethod, *arguments: Any) -> None:
        usual(self, *arguments)
        states[len(states) + 1] = self.generator.layers[1].bias.detach().clone()

    monkeypatch.setattr(ContrastiveMethod, "after_step", after_step)
    fixed_scores(monkeypatch, scores, name)
    out = tmp_path / "run"
    run(fields, out, fast, "optim.steps=18", "validation.every=3", f"validation.best={name}")
    state = load_checkpoint(out / "checkpoints" / "best.pt")
    assert state["step"] == best and state["best"] == {"score": scores[best // 3 - 1], "step": best, "misses": 0}
    assert torch.equal(state["method"]["networks.generator.layers.1.bias"], states[best])
    assert kept_steps(out / "checkpoints") == [16, 18]
    assert [row["step"] for row in log(out, "validation")] == [3, 6, 9, 12, 15, 18]
    assert [row[name] for row in log(out, "validation")] == pytest.approx(scores)
    assert load_stainer(out).card.trained["steps"] == 18
    folder = RunFolder(out).best_stainer
    assert folder.exists() == (best != 18)
    if best != 18:
        assert load_stainer(folder).card.trained["steps"] == best


def test_a_run_ends_when_the_patience_of_its_recipe_does_and_stays_ended(
    fields: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fixed_scores(monkeypatch, [0.3, 0.1, 0.2, 0.15, 0.05])
    out, sets = tmp_path / "run", (*fast, "optim.steps=18", "validation.every=3", "validation.patience=2")
    run(fields, out, sets)
    assert len(asked) == 4 and last_state(out)["step"] == 12
    trained = load_stainer(out).card.trained
    assert trained["steps"] == 12 and trained["stopped_by_validation"]
    environment = RunFolder(out).environment.read_bytes()
    run(fields, out, sets, resume=True)
    assert len(asked) == 4 and last_state(out)["step"] == 12
    assert RunFolder(out).environment.read_bytes() == environment


def test_a_resumed_run_may_validate_otherwise(
    fields: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience alone keeps the best score; another score that decides starts over, since the two do not compare."""
    fixed_scores(monkeypatch, [0.3, 0.1, 0.2, 0.15, 0.2, 0.2])
    out, sets = tmp_path / "run", (*fast, "optim.steps=18", "validation.every=3", "validation.patience=2")
    run(fields, out, sets)
    assert last_state(out)["step"] == 12
    shutil.copytree(out, tmp_path / "copy")
    run(fields, out, fast, "optim.steps=18", "validation.every=3", resume=True)
    assert last_state(out)["step"] == 18 and last_state(out)["best"] == {"score": 0.1, "step": 6, "misses": 4}
    fixed_scores(monkeypatch, [0.5, 0.5])
    run(fields, tmp_path / "copy", fast, "optim.steps=18", "validation.every=3", "validation.best=ssim", resume=True)
    assert last_state(tmp_path / "copy")["best"] == {"score": 0.5, "step": 15, "misses": 1}


def test_a_validation_that_can_never_decide_is_refused(fields: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(RestainError, match=r"validation\.best is 'dab_r'.* expected at least 3 of them, found 2"):
        run(fields, tmp_path / "run", fast, "validation.best=dab_r", "validation.fields=2")
    alone = write_pairs(tmp_path / "alone", val=0)
    with pytest.raises(RestainError, match=r"validation\.patience is 3, but .* has no pairs in a val or test split"):
        run(alone, tmp_path / "other", fast, "validation.patience=3")


def test_no_validation_is_made_where_none_is_asked_for(
    fields: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fixed_scores(monkeypatch, [])
    run(fields, tmp_path / "run", fast, "optim.steps=2", "validation.every=0")
    assert not asked and not (tmp_path / "run" / "logs" / "validation.csv").exists()


def test_a_held_out_field_that_cannot_be_read_is_named(fast: tuple[str, ...], tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", val=6)
    broken = data / "valB" / "s5_0_5.png"  # not among the samples
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(RestainError) as error:
        run(data, tmp_path / "run", fast, "optim.steps=2", "validation.every=1")
    assert str(error.value).startswith(str(broken))
