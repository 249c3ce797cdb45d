"""Gradients of whole steps in bfloat16 and with channels last, against float32 and contiguous maps.

``make test-lowest`` runs these with the lowest torch that pyproject.toml allows, too: engines differ between versions.
"""

from typing import Any

import pytest
import torch
from contract import batch_for, independent, small
from stepping import build, take
from torch import Tensor

from restain.recipes import Recipe
from restain.types import Batch

NAMES = ("asp-dgrank", "pix2pix", "cyclegan", "reggan")


def gradients(recipe: Recipe, batch: Batch, *, bf16: bool = False, last: bool = False) -> dict[str, Tensor]:
    """The gradients of each network in one step, its parameters one after the other."""
    method: Any = build(recipe).to(batch.source.dtype)
    for name, parameter in method.named_parameters():  # away from the start, where the heads see flat maps
        if "projector" in name and parameter.ndim > 1:
            with torch.no_grad():
                parameter.mul_(3)
    if last:
        method.to(memory_format=torch.channels_last)
    batch = batch.to(torch.device("cpu"), channels_last=last)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        shared = method.forward_pass(batch)
    for phase in method.phases:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = take(method, phase.name, batch, shared, progress=0.95).loss
        assert loss.dtype == batch.source.dtype
        loss.backward()
    found: dict[str, Tensor] = {}
    for name, network in method.networks.items():
        missing = [key for key, p in network.named_parameters() if p.grad is None]
        assert missing == [], name
        # A bias in front of an instance norm has no effect, and rounding for a gradient.
        found[name] = torch.cat([p.grad.flatten() for p in network.parameters() if p.ndim > 1])  # type: ignore[union-attr]
    return found


def cosine(a: Tensor, b: Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=0).item()


# Every location in the contrastive step: which ones attention draws may tip where features are rounded otherwise.
EVERY = {"asp-dgrank": ("patches.layers=[8, 12, 16]", "patches.count=1024")}


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_the_same_gradients(name: str, images: int) -> None:
    recipe = small(name, *independent(name), *EVERY.get(name, ()))
    batch = batch_for(recipe, images)
    plain, last = gradients(recipe, batch), gradients(recipe, batch, last=True)
    for network, expected in plain.items():
        assert (last[network] - expected).norm() < 1e-4 * expected.norm(), network


@pytest.mark.parametrize("name", NAMES)
def test_channels_last_gives_the_same_gradients_to_the_last_digits_of_float64(name: str) -> None:
    # With spectral norms and batch norms, as shipped: embeddings of pixels near 0 make float32 differ by a per cent.
    recipe = small(name, "generator.dropout=false", *EVERY.get(name, ()))
    batch = batch_for(recipe, 1)
    batch = Batch(batch.source.double(), batch.target.double(), batch.ids, batch.seeds)
    plain, last = gradients(recipe, batch), gradients(recipe, batch, last=True)
    for network, expected in plain.items():
        assert expected.dtype == torch.float64
        assert (last[network] - expected).norm() < 1e-8 * expected.norm(), network


# The L1 terms of the other methods give each pixel of smooth images the same gradient at first, which norms take out
# again; what is left is rounded more coarsely, and more so in narrow networks.
WIDE = ("generator.ngf=16", "data.crop=64")
LEAST = {
    "asp-dgrank": (0.98, (*WIDE, *EVERY["asp-dgrank"], "patches.dim=32")),
    "pix2pix": (0.8, WIDE),
    "cyclegan": (0.8, WIDE),
    "reggan": (0.8, WIDE),
}


@pytest.mark.parametrize("name", NAMES)
def test_bf16_gives_nearly_the_same_gradients(name: str) -> None:
    least, overrides = LEAST[name]
    recipe = small(name, *independent(name), "generator.dropout=false", *overrides)
    batch = smooth(batch_for(recipe, 1))
    full, half = gradients(recipe, batch), gradients(recipe, batch, bf16=True)
    for network, expected in full.items():
        assert cosine(half[network], expected) > least, network
        assert half[network].norm().item() == pytest.approx(expected.norm().item(), rel=0.1), network


def smooth(batch: Batch) -> Batch:
    """Clouds of colour in place of noise, as tissue has them."""

    def clouds(images: Tensor) -> Tensor:
        coarse = torch.nn.functional.avg_pool2d(images, 8) * 8  # the deviation of single pixels
        return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear").clamp(-1, 1)

    return Batch(clouds(batch.source), clouds(batch.target), batch.ids, batch.seeds)


def test_the_heads_get_a_gradient_in_bf16() -> None:
    # Keys that pass first, without a gradient, leave autocast's narrowed weights without one for the queries.
    recipe = small("asp-dgrank")
    found = gradients(recipe, batch_for(recipe, 1), bf16=True)
    assert found["projector"].norm() > 0 and found["projector"].count_nonzero() > 0.5 * found["projector"].numel()
