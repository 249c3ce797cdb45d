"""What every method must keep, whatever it learns by. ``test_contract.py`` runs it over every shipped recipe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from small import SMALL_NETWORKS
from stepping import TOTAL, build, take

from restain.methods.base import Method, Progress
from restain.recipes import Recipe, load_recipe
from restain.types import Batch

# Norms over a batch and dropout tie the images of a batch together, and power iterations count passes.
INDEPENDENT = (
    "generator.norm=instance",
    "generator.dropout=false",
    "generator.spectral_norm=false",
    "discriminator.norm=instance",
    "discriminator.spectral_norm=false",
)


def narrow(name: str) -> tuple[str, ...]:
    """Overrides that give a shipped recipe narrow networks on small crops."""
    recipe = load_recipe(name)
    return (*SMALL_NETWORKS[recipe.generator.kind], *SMALL_NETWORKS[recipe.method.name])


def small(name: str, *overrides: str) -> Recipe:
    """A shipped recipe with narrow networks."""
    return load_recipe(name, (*narrow(name), *overrides))


def independent(name: str) -> tuple[str, ...]:
    """Overrides after which the images of a batch do not know of each other."""
    fields = load_recipe(name).to_flat()
    parts = [(override, *override.partition("=")[0].split(".")) for override in INDEPENDENT]
    return tuple(override for override, part, field in parts if field in fields[part])


def batch_for(recipe: Recipe, images: int = 2) -> Batch:
    """Noise in place of tissue."""
    stream, side = torch.Generator().manual_seed(1), recipe.data.crop
    source, target = torch.rand(2, images, 3, side, side, generator=stream) * 2 - 1
    bands = ("dab", "nuclei") if recipe.method.needs.maps else ()
    maps = {name: torch.rand(images, 1, side, side, generator=stream) for name in bands}
    words = recipe.method.needs.labels or ("",)
    labels = tuple(words[n % len(words)] for n in range(images))
    names, seeds = tuple("abcd"[:images]), tuple(range(10, 10 + images))
    return Batch(source, target, names, seeds, maps, labels=labels, target_labels=labels[::-1])


def part(batch: Batch, n: int) -> Batch:
    """One image of a batch."""
    one = slice(n, n + 1)
    maps = {name: values[one] for name, values in batch.maps.items()}
    return replace(
        batch,
        source=batch.source[one],
        target=batch.target[one],
        ids=batch.ids[one],
        seeds=batch.seeds[one],
        labels=batch.labels[one],
        target_labels=batch.target_labels[one],
        maps=maps,
    )


def a_step_is_finite_and_reaches_its_phase_only(method: Method[Any], batch: Batch) -> None:
    """Each phase: finite, detached terms; a gradient for every parameter of the phase, and for no other."""
    shared = method.forward_pass(batch)
    for phase in method.phases:
        method.zero_grad(set_to_none=True)
        step = take(method, phase.name, batch, shared)
        step.loss.backward()
        assert step.loss.isfinite() and step.loss.ndim == 0
        assert all(term.isfinite() and not term.requires_grad for term in step.terms.values())
        assert phase.name not in step.terms
        assert all(len(rows) == len(batch.ids) and not rows.requires_grad for rows in step.carried.values())
        with_gradient = {name for name, p in method.named_parameters() if p.grad is not None}
        own = {id(p) for p in method.parameters_of(phase)}
        assert with_gradient == {name for name, p in method.named_parameters() if id(p) in own}
        assert all(p.requires_grad for p in method.networks.parameters())


def the_phases_share_no_network_and_leave_none_out(method: Method[Any]) -> None:
    """Every network is stepped by exactly one phase; phases have names of their own."""
    stepped = [name for phase in method.phases for name in phase.networks]
    assert sorted(stepped) == sorted(method.networks)
    assert len({phase.name for phase in method.phases}) == len(method.phases)


def a_batch_of_two_is_two_of_one(method: Method[Any], batch: Batch) -> None:
    """Losses of a batch are means over its images, each with its own random draws."""
    for phase in method.phases:
        whole = take(method, phase.name, batch, progress=0.3).loss
        alone = [take(method, phase.name, part(batch, n), progress=0.3).loss for n in range(2)]
        torch.testing.assert_close(whole, torch.stack(alone).mean(), rtol=1e-4, atol=1e-5)


def the_stainer_is_one_object_that_translates(method: Method[Any], batch: Batch) -> None:
    """The same generator at each call, image in, image out."""
    stainer = method.stainer()
    assert stainer is method.stainer()
    stainer.eval()
    with torch.no_grad():
        image = stainer(batch.source)
    assert image.shape == batch.source.shape and image.abs().max() <= 1


def a_copy_from_a_state_takes_the_same_step(recipe: Recipe, batch: Batch) -> None:
    """All that a step depends on is in the state: after a step, a loaded copy gives the same next one."""
    first, second = build(recipe), build(recipe)
    shared = first.forward_pass(batch)
    terms, carried = {}, {}
    for phase in first.phases:
        step = take(first, phase.name, batch, shared)
        terms, carried = terms | step.terms, carried | step.carried
    first.after_step(terms, carried, len(batch.ids), Progress(0, TOTAL, 40 / 45))
    second.load_state_dict(first.state_dict())
    for phase in first.phases:
        losses = []
        for method in (first, second):
            torch.manual_seed(0)  # of dropout
            losses.append(take(method, phase.name, batch, progress=100 / TOTAL).loss)
        assert torch.equal(*losses)
