"""CycleGAN against its formulas, in float64, and with its published settings."""

from typing import Any

import numpy as np
import pytest
import torch
from contract import batch_for, small
from stepping import build, take
from torch import Tensor

from restain.methods.base import Progress
from restain.recipes import load_recipe
from restain.types import Batch


def setup(*overrides: str, images: int = 2) -> tuple[Any, Batch]:
    recipe = small("cyclegan", *overrides)
    batch = batch_for(recipe, images)
    return build(recipe).double(), Batch(batch.source.double(), batch.target.double(), batch.ids, batch.seeds)


def l1(a: Tensor, b: Tensor) -> float:
    return float(np.abs(a.detach().numpy() - b.detach().numpy()).mean())


def squares(scores: Tensor, label: float) -> float:
    return float(np.mean([(score - label) ** 2 for score in scores.detach().flatten().tolist()]))


def test_the_generators_phase_is_the_published_sum() -> None:
    method, batch = setup()
    step = take(method, "generators", batch)
    there, back, d_ihc, d_he = (
        method.networks[name] for name in ("generator", "generator_back", "discriminator_ihc", "discriminator_he")
    )
    ihc, he = there(batch.source), back(batch.target)
    terms = {
        "gan_ihc": squares(d_ihc(ihc), 1),
        "gan_he": squares(d_he(he), 1),
        "cycle_he": l1(back(ihc), batch.source),
        "cycle_ihc": l1(there(he), batch.target),
        "identity_ihc": l1(there(batch.target), batch.target),
        "identity_he": l1(back(batch.source), batch.source),
    }
    assert {name: term.item() for name, term in step.terms.items()} == pytest.approx(terms, rel=1e-9)
    expected = terms["gan_ihc"] + terms["gan_he"] + 10 * (terms["cycle_he"] + terms["cycle_ihc"])
    expected += 10 * 0.5 * (terms["identity_ihc"] + terms["identity_he"])
    assert step.loss.item() == pytest.approx(expected, rel=1e-9)


def test_gradients_of_the_generators_are_those_of_the_sum() -> None:
    method, batch = setup(images=1)
    names = ("generator", "generator_back")
    parameters = [p for name in names for p in method.networks[name].parameters()]
    found = torch.autograd.grad(take(method, "generators", batch).loss, parameters)
    there, back = (method.networks[name] for name in names)
    ihc, he = there(batch.source), back(batch.target)
    loss = (method.networks["discriminator_ihc"](ihc) - 1).pow(2).mean()
    loss = loss + (method.networks["discriminator_he"](he) - 1).pow(2).mean()
    for image, real, weight in (
        (back(ihc), batch.source, 10),
        (there(he), batch.target, 10),
        (there(batch.target), batch.target, 5),
        (back(batch.source), batch.source, 5),
    ):
        loss = loss + weight * (image - real).abs().mean()
    largest = max(gradient.abs().max().item() for gradient in found)
    for gradient, expected in zip(found, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-9 * largest)


def test_the_identity_terms_can_be_left_out() -> None:
    method, batch = setup("cycle.identity=0")
    assert set(take(method, "generators", batch).terms) == {"gan_ihc", "gan_he", "cycle_he", "cycle_ihc"}


def test_each_discriminator_is_halved_and_sees_its_own_stain() -> None:
    method, batch = setup()
    shared = method.forward_pass(batch)
    step = take(method, "discriminators", batch, shared)
    expected = {}
    for stain, fake, real in (("ihc", shared.ihc, batch.target), ("he", shared.he, batch.source)):
        discriminator = method.networks[f"discriminator_{stain}"]
        expected[f"D_{stain}"] = (squares(discriminator(fake), 0) + squares(discriminator(real), 1)) / 2
    assert {name: term.item() for name, term in step.terms.items()} == pytest.approx(expected, rel=1e-9)
    assert step.loss.item() == pytest.approx(sum(expected.values()), rel=1e-9)


def test_the_discriminators_are_shown_what_the_pools_give() -> None:
    method, batch = setup()  # pools of three images
    kept = {stain: torch.rand(3, 3, 40, 40, dtype=torch.float64) for stain in ("ihc", "he")}
    for stain, pool in method.pools.items():
        pool.images.copy_(kept[stain])
        pool.count.fill_(3)
    sources, shown = set(), 0
    for n in range(6):
        drawn = Batch(batch.source, batch.target, batch.ids, (2 * n, 2 * n + 1))
        shared = method.forward_pass(drawn)
        seen: dict[str, list[Tensor]] = {"ihc": [], "he": []}
        handles = [
            method.networks[f"discriminator_{stain}"].register_forward_pre_hook(
                lambda _, inputs, images=images: images.append(inputs[0])
            )
            for stain, images in seen.items()
        ]
        step = take(method, "discriminators", drawn, shared)
        for handle in handles:
            handle.remove()
        for stain, fake in (("ihc", shared.ihc), ("he", shared.he)):
            for row, place in enumerate(step.carried[f"{stain}/place"].tolist()):
                expected = fake[row] if place < 0 else kept[stain][place]
                assert torch.equal(seen[stain][0][row], expected)
                sources.add((stain, place < 0))
                shown += 1
            assert torch.equal(step.carried[f"{stain}/fake"], fake)
    assert shown == 24 and len(sources) == 4  # both stains, new and kept


def test_what_a_step_made_is_kept_for_later_ones() -> None:
    method, batch = setup()
    step = take(method, "discriminators", batch)
    method.after_step(step.terms, step.carried, 2, Progress(0, 100, 0.5))
    for stain in ("ihc", "he"):
        assert method.pools[stain].count == 2
        assert torch.equal(method.pools[stain].images[:2], step.carried[f"{stain}/fake"])
    assert {"pools.ihc.images", "pools.he.images", "pools.ihc.count", "pools.he.count"} <= method.state_dict().keys()


def test_the_generators_are_stepped_first_and_the_discriminators_on_what_they_made_before() -> None:
    method, batch = setup()
    assert [phase.name for phase in method.phases] == ["generators", "discriminators"]
    shared = method.forward_pass(batch)
    before = take(method, "discriminators", batch, shared).loss
    with torch.no_grad():
        for name in ("generator", "generator_back"):
            for parameter in method.networks[name].parameters():
                parameter.mul_(2)
    assert torch.equal(take(method, "discriminators", batch, shared).loss, before)


def test_the_four_networks_start_apart() -> None:
    method, _ = setup()
    for first, second in (("generator", "generator_back"), ("discriminator_ihc", "discriminator_he")):
        a, b = (next(method.networks[name].parameters()) for name in (first, second))
        assert a.shape == b.shape and not torch.equal(a, b)
    assert method.stainer() is method.networks["generator"]


def test_cyclegan_has_its_published_settings() -> None:
    flat = load_recipe("cyclegan").to_flat()
    published: dict[str, Any] = {
        "method": "cycle",
        "generator": {
            "kind": "resnet",
            "ngf": 64,
            "blocks": 9,
            "downs": 2,
            "spectral_norm": False,
            "norm": "instance",
            "dropout": False,
            "antialias": False,
            "init": "normal",
        },
        "discriminator": {
            "ndf": 64,
            "layers": 3,
            "spectral_norm": False,
            "norm": "instance",
            "antialias": False,
            "init": "normal",
        },
        "gan": {"weight": 1, "mode": "lsgan"},
        "cycle": {"weight": 10, "identity": 0.5, "pool": 50},
    }
    assert {key: flat[key] for key in published} == published
    optim, data = flat["optim"], flat["data"]
    assert (optim["lr"], tuple(optim["betas"]), optim["batch"], optim["accumulate"]) == (2e-4, (0.5, 0.999), 1, 1)
    assert (optim["epochs"], optim["decay_epochs"], optim["schedule"]["kind"]) == (100, 100, "linear")
    assert (data["paired"], data["crop"], data["flip"], round(256 * data["scale"])) == (False, 256, True, 286)


def test_cyclegan_has_its_published_networks() -> None:
    method = build(load_recipe("cyclegan", ["cycle.pool=1"]))
    millions = {name: sum(p.numel() for p in net.parameters()) / 1e6 for name, net in method.networks.items()}
    expected = {"generator": 11.378, "generator_back": 11.378, "discriminator_ihc": 2.765, "discriminator_he": 2.765}
    assert millions == pytest.approx(expected, abs=5e-4)  # as its code prints
