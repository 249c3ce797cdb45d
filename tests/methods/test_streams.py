"""Two recipes that differ in one module share the draws of every other one."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from contract import batch_for, small
from stepping import build, take
from torch import Tensor

TERMS = ("patch_nce", "a2sp")


@dataclass
class Draws:
    """What was drawn in one step, as the networks got to see it."""

    locations: dict[str, list[Tensor]] = field(default_factory=dict)  # by term, a tensor for each layer
    seen: list[tuple[Tensor, ...]] = field(default_factory=list)  # by the discriminator: images, and times
    weights: dict[str, Tensor] = field(default_factory=dict)  # at the start


def draws_of(name: str) -> Draws:
    recipe = small(name)
    method: Any = build(recipe)
    found = Draws(weights={key: value.clone() for key, value in method.named_parameters()})
    calls: list[list[Tensor]] = []
    method.networks["projector"].register_forward_pre_hook(lambda _, inputs: calls.append(inputs[1]))
    method.networks["discriminator"].register_forward_pre_hook(lambda _, inputs: found.seen.append(inputs))
    if method.adversarial.horizon is not None:
        method.adversarial.horizon.p.fill_(0.5)
    batch = batch_for(recipe)
    shared = method.forward_pass(batch)
    for phase in ("discriminator", "generator"):
        take(method, phase, batch, shared, progress=0.95)
    active = [term for term in TERMS if getattr(recipe.method, term).weight]
    found.locations = dict(zip(active, calls[::2], strict=True))  # each term embeds queries, then keys
    return found


PAIRS = {
    ("asp-dgrank", "asp-dgrank-no-diffusion"): {"patch_nce", "a2sp"},
    ("asp-dgrank", "asp-dgrank-no-attention"): {"patch_nce", "discriminator"},
    ("asp-dgrank-no-attention", "asp-dgrank-baseline"): {"patch_nce", "a2sp"},
    ("asp-dgrank-no-diffusion", "asp-dgrank-baseline"): {"patch_nce", "discriminator"},
    ("asp-dgrank-unpaired-literal", "asp-dgrank-unpaired"): {"patch_nce", "discriminator"},
    ("asp", "cut-lgp"): {"patch_nce", "discriminator"},
}


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_ablations_share_every_draw_of_what_they_have_in_common(first: str, second: str) -> None:
    a, b, shared = draws_of(first), draws_of(second), PAIRS[first, second]
    for term in shared & set(TERMS):
        assert all(map(torch.equal, a.locations[term], b.locations[term])), term
    if "discriminator" in shared:  # images as they were noised, and times
        for one, other in zip(a.seen, b.seen, strict=True):
            assert all(torch.allclose(x, y, atol=1e-6) for x, y in zip(one, other, strict=True))
    assert a.weights.keys() & b.weights.keys() >= {key for key in b.weights if "discriminator.time" not in key}
    for key in a.weights.keys() & b.weights.keys():
        assert torch.equal(a.weights[key], b.weights[key]), key


def test_draws_of_different_terms_and_of_fake_and_real_are_apart() -> None:
    found = draws_of("asp-dgrank-no-attention")
    # The last layer's map is small; the first ones have many more locations than are drawn.
    assert not torch.equal(*(found.locations[term][0].sort().values for term in TERMS))
    (images, times), (fake, _) = found.seen
    assert len(images) == 4 and len(times) == 4
    assert not torch.equal(images[:2], fake)  # noised anew for the generator's phase


def test_images_draw_each_for_itself() -> None:
    found = draws_of("asp-dgrank-no-attention")
    first = found.locations["a2sp"][0]
    assert not torch.equal(first[0].sort().values, first[1].sort().values)
