"""SynDiff: its sums by hand with the published weights, and what it refuses."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from contract import batch_for, small
from stepping import build, take

from restain.errors import RestainError
from restain.recipes import load_recipe


def prepared() -> tuple:
    recipe = small("syndiff-rgb")
    method, batch = build(recipe).double(), batch_for(recipe)
    return method, replace(batch, source=batch.source.double(), target=batch.target.double())


def test_what_is_noised_has_the_shares_of_its_step() -> None:
    recipe = small("syndiff-rgb", "generator.steps=4")
    method, batch = build(recipe), batch_for(recipe)
    shares = recipe.generator.signal_shares()
    signal = torch.full_like(batch.target, 0.5)
    found = {"noisy": {}, "noisier": {}}
    for seed in range(12):
        one = replace(batch, target=signal, seeds=(seed, 100 + seed))
        shared = method.forward_pass(one)
        for image, t in enumerate(shared.step.tolist()):
            found["noisy"].setdefault(t - 1, []).append(shared.noisy[image])
            found["noisier"].setdefault(t, []).append(shared.noisier[image])
    assert set(found["noisier"]) == {1, 2, 3, 4}
    for images in found.values():
        for t, drawn in images.items():
            values = torch.stack(drawn)
            assert values.mean().item() == pytest.approx(0.5 * math.sqrt(shares[t]), abs=0.03)
            assert values.var().item() == pytest.approx(1 - shares[t], rel=0.05)


def test_the_generators_phase_is_the_published_sum() -> None:
    method, batch = prepared()
    nets, shared = method.networks, method.forward_pass(batch)
    there, back = nets["translator"], nets["translator_back"]
    ihc, he = there(batch.source), back(batch.target)
    beside = torch.cat([shared.denoised, shared.noisier], dim=1)
    expected = F.softplus(-nets["discriminator"](beside, shared.step)).mean()
    expected = expected + F.softplus(-nets["discriminator_ihc"](ihc)).mean()
    expected = expected + F.softplus(-nets["discriminator_he"](he)).mean()
    expected = expected + 0.5 * (shared.clean - batch.target).abs().mean()
    expected = expected + 0.5 * (back(ihc) - batch.source).abs().mean()
    expected = expected + 0.5 * (there(he) - batch.target).abs().mean()
    assert take(method, "generators", batch, shared).loss.item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_discriminators_phase_has_a_penalty_every_tenth_step() -> None:
    method, batch = prepared()
    nets, shared = method.networks, method.forward_pass(batch)
    expected = 0.0
    for name, fake, real in (("ihc", shared.ihc, batch.target), ("he", shared.he, batch.source)):
        score = nets[f"discriminator_{name}"]
        expected += F.softplus(score(fake)).mean().item() + F.softplus(-score(real)).mean().item()

    def score(x: torch.Tensor) -> torch.Tensor:
        return nets["discriminator"](torch.cat([x, shared.noisier], dim=1), shared.step)

    expected += F.softplus(score(shared.denoised)).mean().item() + F.softplus(-score(shared.noisy)).mean().item()
    noisy = shared.noisy.detach().requires_grad_()
    scores = score(noisy)
    (gradient,) = torch.autograd.grad(scores.sum(), noisy)
    penalty = gradient.square().sum().item() / len(batch.ids) / scores[0].numel()
    first = take(method, "discriminators", batch, shared)  # step 0
    assert first.terms["penalty"].item() == pytest.approx(penalty, rel=1e-9)
    assert first.loss.item() == pytest.approx(expected + penalty / 2, rel=1e-9)
    later = take(method, "discriminators", batch, shared, progress=1 / 45_000)  # step 1
    assert "penalty" not in later.terms and later.loss.item() == pytest.approx(expected, rel=1e-9)


def test_only_a_denoiser_is_trained_by_it() -> None:
    with pytest.raises(RestainError, match=r"generator.kind is 'resnet'; expected 'denoiser'"):
        load_recipe("syndiff-rgb", ["generator={kind: resnet}"])
