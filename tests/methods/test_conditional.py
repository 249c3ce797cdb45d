"""pix2pix and its relatives against their formulas, in float64, and with their published settings."""

from typing import Any

import numpy as np
import pytest
import torch
from contract import batch_for, small
from stepping import build, take
from torch import Tensor

from restain.losses.pyramid import pyramid_loss
from restain.recipes import load_recipe
from restain.types import Batch

STILL = ("generator.dropout=false",)


def setup(name: str, *overrides: str, images: int = 2) -> tuple[Any, Batch]:
    recipe = small(name, *STILL, *overrides)
    batch = batch_for(recipe, images)
    return build(recipe).double(), Batch(batch.source.double(), batch.target.double(), batch.ids, batch.seeds)


def cross_entropy(logits: Tensor, label: int) -> float:
    """Mean binary cross-entropy, one logit at a time."""
    total = 0.0
    for x in logits.detach().flatten().tolist():
        p = 1 / (1 + np.exp(-x))
        total -= np.log(p if label else 1 - p)
    return float(total / logits.numel())


def scores(method: Any, batch: Batch, ihc: Tensor) -> Tensor:
    """D of the H&E beside an IHC, six channels."""
    six = torch.zeros(len(batch.ids), 6, *ihc.shape[2:], dtype=torch.float64)
    six[:, :3], six[:, 3:] = batch.source, ihc
    found: Tensor = method.networks["discriminator"](six)
    return found


def test_the_discriminator_phase_is_half_the_cross_entropies_of_a_virtual_and_a_real_pair() -> None:
    method, batch = setup("pix2pix")
    step = take(method, "discriminator", batch)
    fake = method.networks["generator"](batch.source)
    expected = [cross_entropy(scores(method, batch, ihc), label) / 2 for ihc, label in ((fake, 0), (batch.target, 1))]
    assert step.loss.item() == pytest.approx(sum(expected), rel=1e-9)
    assert [step.terms[name].item() for name in ("D_fake", "D_real")] == pytest.approx(expected, rel=1e-9)


def test_the_generator_phase_is_cross_entropy_and_a_hundred_times_l1() -> None:
    method, batch = setup("pix2pix")
    step = take(method, "generator", batch)
    fake = method.networks["generator"](batch.source)
    gan = cross_entropy(scores(method, batch, fake), 1)
    l1 = np.abs(fake.detach().numpy() - batch.target.numpy()).mean()
    assert set(step.terms) == {"gan", "l1"}
    assert step.terms["l1"].item() == pytest.approx(l1, rel=1e-9)
    assert step.loss.item() == pytest.approx(gan + 100 * l1, rel=1e-9)


def test_the_generators_gradient_is_that_of_the_formula() -> None:
    method, batch = setup("pix2pix")
    parameters = list(method.networks["generator"].parameters())
    found = torch.autograd.grad(take(method, "generator", batch).loss, parameters)
    fake = method.networks["generator"](batch.source)
    logits = scores(method, batch, fake)
    loss = -torch.log(torch.sigmoid(logits)).mean() + 100 * (fake - batch.target).abs().mean()
    for gradient, expected in zip(found, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9)


def test_the_discriminator_sees_each_stain_in_a_batch_of_its_own() -> None:
    # Its batch norms would else mix real and virtual images.
    method, batch = setup("pix2pix")
    seen: list[tuple[int, ...]] = []
    method.networks["discriminator"].register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape)))
    take(method, "discriminator", batch)
    assert seen == [(2, 6, 40, 40)] * 2


def test_pyramid_pix2pix_compares_pyramids_in_place_of_pixels() -> None:
    method, batch = setup("pyramid-pix2pix")
    step = take(method, "generator", batch)
    fake = method.networks["generator"](batch.source)
    assert set(step.terms) == {"gan", "pyramid"}
    expected = cross_entropy(scores(method, batch, fake), 1) + pyramid_loss(fake, batch.target, "bci").item()
    assert step.loss.item() == pytest.approx(expected, rel=1e-9)


def test_the_discriminator_is_stepped_before_the_generator() -> None:
    method, _ = setup("pix2pix")
    assert [phase.name for phase in method.phases] == ["discriminator", "generator"]


def test_pix2pix_has_its_published_settings() -> None:
    flat = load_recipe("pix2pix").to_flat()
    published: dict[str, Any] = {
        "method": "conditional",
        "generator": {"kind": "unet", "ngf": 64, "downs": 8, "norm": "batch", "dropout": True, "init": "normal"},
        "discriminator": {
            "ndf": 64,
            "layers": 3,
            "spectral_norm": False,
            "norm": "batch",
            "antialias": False,
            "init": "normal",
        },
        "gan": {"weight": 1, "mode": "vanilla"},
        "l1": {"weight": 100},
    }
    assert {key: flat[key] for key in published} == published
    assert flat["pyramid"]["weight"] == 0
    optim = flat["optim"]
    assert (optim["lr"], tuple(optim["betas"]), optim["batch"], optim["accumulate"]) == (2e-4, (0.5, 0.999), 1, 1)
    assert (optim["epochs"], optim["decay_epochs"], optim["steps"], optim["schedule"]["kind"]) == (
        100,
        100,
        None,
        "linear",
    )
    data = flat["data"]
    assert (data["paired"], data["crop"], data["flip"], round(256 * data["scale"])) == (True, 256, True, 286)


def test_pix2pix_has_its_published_networks() -> None:
    method = build(load_recipe("pix2pix"))
    millions = {name: sum(p.numel() for p in net.parameters()) / 1e6 for name, net in method.networks.items()}
    assert millions == pytest.approx({"generator": 54.414, "discriminator": 2.769}, abs=5e-4)  # as its code prints
    weights = method.networks["generator"].downs[3][1].weight
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    dropouts = [m.p for m in method.networks["generator"].modules() if isinstance(m, torch.nn.Dropout)]
    assert dropouts == [0.5] * 3
