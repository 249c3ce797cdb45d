"""PSPStain: its sum with the published weights, the segmentation network beforehand, and what it refuses."""

from pathlib import Path

import pytest
import torch
from contract import batch_for, independent, narrow, small
from small import SHORT_RUN, write_pairs
from stepping import build, take

import restain
from restain.errors import RestainError
from restain.losses.optical_density import dab_mask, focal_optical_density, protein_losses
from restain.losses.prototypes import prototype_loss
from restain.losses.pyramid import pyramid_loss
from restain.losses.structure import ms_ssim
from restain.recipes import load_recipe
from restain.training.checkpoint import checkpoints, load_checkpoint
from restain.types import Batch


def test_the_generator_phase_is_the_published_sum() -> None:
    recipe = small("pspstain", "patches.count=5", *independent("pspstain"))
    method, batch = build(recipe).double(), batch_for(recipe)
    batch = Batch(batch.source.double(), batch.target.double(), batch.ids, batch.seeds)
    step = take(method, "generator", batch)
    fake, real = method.stainer()(batch.source), batch.target
    densities = [focal_optical_density(image, released=True) for image in (fake, real)]
    protein = protein_losses(*densities)
    features, scores = zip(*(method.segmenter(image) for image in (fake, real)), strict=True)
    masks = [dab_mask(density).long() for density in densities]
    consistency = prototype_loss(features, [s.softmax(dim=1) for s in scores], masks, softmax_twice=True)
    expected = (
        ((method.networks["discriminator"](fake) - 1) ** 2).mean()
        + step.terms["patch_nce"]
        + 10 * pyramid_loss(fake, real, "asp")
        + 0.05 * 5 * (1 - ms_ssim(fake, real, 2).mean())
        + 4 * protein.average
        + protein.histogram
        + protein.blocks
        + 4 * 2.5 * consistency
    )
    assert step.loss.item() == pytest.approx(expected.item(), rel=1e-8)


def test_the_discriminator_learns_at_a_twentieth_of_the_rate() -> None:
    phases = {phase.name: phase for phase in build(small("pspstain")).phases}
    assert phases["discriminator"].lr_factor == pytest.approx(1 / 20) and phases["generator"].lr_factor == 1


def test_the_segmenter_stays_as_it_is_applied() -> None:
    recipe = small("pspstain")
    method = build(recipe).train()
    assert not method.segmenter.training and method.networks["generator"].training
    assert not any(p.requires_grad for p in method.segmenter.parameters())
    before = {name: value.clone() for name, value in method.segmenter.state_dict().items()}
    take(method, "generator", batch_for(recipe)).loss.backward()
    assert all(torch.equal(value, before[name]) for name, value in method.segmenter.state_dict().items())


def test_the_segmenter_is_learned_once_for_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTAIN_CACHE", str(tmp_path / "cache"))
    data = write_pairs(tmp_path / "data", train=4, val=3, size=64)
    overrides = (*narrow("pspstain"), *SHORT_RUN, "optim.steps=2", "validation.every=0")

    def run(name: str, *more: str) -> dict[str, torch.Tensor]:
        machine = restain.Machine(device="cpu")
        restain.train(data, tmp_path / name, "pspstain", overrides=(*overrides, *more), machine=machine)
        state = load_checkpoint(checkpoints(tmp_path / name / "checkpoints")[-1])["method"]
        return {key: value for key, value in state.items() if key.startswith("segmenter.")}

    first = run("first")
    (kept,) = (tmp_path / "cache" / "pretrained").iterdir()
    written, fresh = kept.stat().st_mtime_ns, build(load_recipe("pspstain", overrides)).segmenter.state_dict()
    assert any(not torch.equal(first[f"segmenter.{key}"], value) for key, value in fresh.items())
    again = run("again")
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert kept.stat().st_mtime_ns == written
    run("longer", "prototypes.steps=3")
    assert len(list((tmp_path / "cache" / "pretrained").iterdir())) == 2
    kept.write_bytes(b"nonsense")
    with pytest.raises(RestainError, match=r"is damaged .*; delete this file of the cache"):
        run("damaged")


def test_the_segmenter_learns_to_see_brown() -> None:
    recipe = small("pspstain", "segmenter.width=8")
    method, stream = build(recipe), torch.Generator().manual_seed(0)
    brown, blue = (torch.tensor(rgb) / 127.5 - 1 for rgb in ([110.0, 66, 36], [150.0, 140, 200]))
    places = torch.nn.functional.interpolate(torch.rand(2, 1, 5, 5, generator=stream), size=(40, 40)) > 0.5
    ihc = torch.where(places, brown[:, None, None], blue[:, None, None])
    batch = Batch(ihc, ihc, ("a", "b"), (0, 1))
    task = method.pretrained
    adam = torch.optim.Adam(task.network.train().requires_grad_(True).parameters(), 1e-2)
    for _ in range(60):
        loss = task.loss(batch)
        adam.zero_grad()
        loss.backward()
        adam.step()
    task.network.eval()
    seen = method.pictures(batch)["stained"] > 0.5
    assert (seen == places[:, 0]).float().mean() > 0.95


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.paired=false", r"data\.paired is false; expected true"),
        ("structure.scales=4", r"data\.crop is 40; structure\.scales 4 needs at least 88 pixels"),
        ("patches.layers=[40]", r"patches\.layers: contrastive layer 40"),
    ],
)
def test_what_does_not_go_together_is_refused(override: str, words: str) -> None:
    with pytest.raises(RestainError, match=words):
        small("pspstain", override)
