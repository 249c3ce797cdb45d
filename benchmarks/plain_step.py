"""A training step written straight from Eq. 1-8, and the proof that restain's step is the same mathematics.

The plain step does what reference code does: the generator makes K^F; PatchNCE encodes I and K^F, A2SP encodes K^F
again and K^R, all with a graph; D sees real and fake apart, and is frozen while G steps; both pyramids are built with
5x5 kernels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.diffusion import diffuse, draw_times
from restain.losses.contrastive import adaptive_weights, info_nce, trust
from restain.losses.pyramid import ASP_WEIGHTS
from restain.methods.base import frozen
from restain.methods.contrastive import DISCRIMINATOR, GENERATOR, ContrastiveMethod
from restain.sampling import attention_map, draw_locations
from restain.types import Batch

PROGRESS = 0.95  # late enough for weights theta that are not uniform
SIDES = ("discriminator", "generator")
TOLERANCE = 2e-5  # relative, float32; rounding was some 1.5e-6 from the tiny recipe to asp-dgrank at full width


class PlainStep:
    """Eq. 1-8 term by term, for paired recipes of the ASP family (no identity term, no mirroring)."""

    def __init__(self, method: ContrastiveMethod) -> None:
        self.method, self.recipe = method, method.recipe
        self.g, self.f, self.d = (method.networks[name] for name in ("generator", "projector", "discriminator"))

    def discriminator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        streams = batch.streams(DISCRIMINATOR)
        noised, times = self._noised([fake.detach(), batch.target], streams)
        scores = [self.d(image, t) for image, t in zip(noised, times, strict=True)]
        self.sign = (scores[1] - 0.5).sign().mean()
        return 0.5 * ((scores[0] - 0).pow(2).mean() + (scores[1] - 1).pow(2).mean())

    def generator_loss(self, batch: Batch, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        recipe, streams = self.recipe, batch.streams(GENERATOR)
        terms: dict[str, Tensor] = {}
        noised, times = self._noised([fake], streams)
        with frozen(self.d):
            terms["gan"] = (self.d(noised[0], times[0]) - 1).pow(2).mean()
        loss = recipe.gan.weight * terms["gan"]
        if recipe.patch_nce.weight:
            keys, queries = self.g.encode(batch.source, self.method.taps), self.g.encode(fake, self.method.taps)
            where = [draw_locations(torch.ones_like(k[:, 0]), recipe.patches.count, streams) for k in keys]
            terms["patch_nce"] = self._contrast(keys, queries, where, None)
            loss = loss + recipe.patch_nce.weight * terms["patch_nce"]
        if recipe.a2sp.weight:
            keys, queries = self.g.encode(batch.target, self.method.taps), self.g.encode(fake, self.method.taps)
            attended = recipe.a2sp.locations == "attention"
            maps = [attention_map(k) if attended else torch.ones_like(k[:, 0]) for k in keys]
            where = [draw_locations(a, recipe.patches.count, streams) for a in maps]
            p = trust(recipe.a2sp.schedule, PROGRESS, recipe.decay_start)
            terms["a2sp"] = self._contrast(keys, queries, where, p)
            loss = loss + recipe.a2sp.weight * terms["a2sp"]
        if recipe.pyramid.weight:
            levels = zip(_pyramid(fake), _pyramid(batch.target), ASP_WEIGHTS, strict=True)
            terms["pyramid"] = sum(w * (a - b).abs().mean() for a, b, w in levels) / len(ASP_WEIGHTS)
            loss = loss + recipe.pyramid.weight * terms["pyramid"]
        return loss, terms

    def _noised(self, images: list[Tensor], streams: list[torch.Generator]) -> tuple[list[Tensor], list[Tensor | None]]:
        if self.method.horizon is None:
            return images, [None] * len(images)
        horizon, config = self.method.horizon.horizon(), self.recipe.diffusion
        times = [draw_times(horizon, config.clean_fraction, streams) for _ in images]
        table = self.method.schedule.alpha_bar(horizon)
        pairs = zip(images, times, strict=True)
        return [diffuse(image, table[t], config.sigma, streams) for image, t in pairs], list(times)

    def _contrast(self, keys: list[Tensor], queries: list[Tensor], where: list[Tensor], p: float | None) -> Tensor:
        losses = []
        for u, v in zip(self.f(keys, where), self.f(queries, where), strict=True):
            loss = info_nce(v, u.detach(), self.recipe.patches.tau)
            if p is not None:
                loss = adaptive_weights((u * v).sum(-1), p, self.recipe.a2sp.lookup) * loss
            losses.append(loss.mean())
        return torch.stack(losses).mean()


def _pyramid(image: Tensor) -> list[Tensor]:
    line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=image.device) / 16
    kernel = torch.outer(line, line).expand(3, 1, 5, 5)
    maps = []
    for _ in range(5):
        maps.append(F.conv2d(F.pad(image, (2, 2, 2, 2), mode="reflect"), kernel, groups=3))
        image = maps[-1][..., ::2, ::2]
    return [*maps, image]


def prove(method: ContrastiveMethod, batch: Batch) -> float:
    """Largest relative difference of a loss or of a network's gradients; raises where it is not rounding."""
    torch.backends.cudnn.allow_tf32 = False
    method.eval()  # freezes the spectral norms, whose power iterations count passes; nothing else depends on it
    plain, worst = PlainStep(method), 0.0
    for side in SIDES:
        found: list[dict[str, Tensor]] = []
        for whose in ("plain", "restain"):
            method.zero_grad(set_to_none=True)
            if whose == "restain":
                half = method.discriminator_step if side == "discriminator" else method.generator_step
                loss = half(batch, method.translate(batch), PROGRESS).loss
            elif side == "discriminator":
                loss = plain.discriminator_loss(batch, method.networks["generator"](batch.source))
            else:
                loss = plain.generator_loss(batch, method.networks["generator"](batch.source))[0]
            loss.backward()
            found.append({"loss": loss.detach(), **_gradients(method)})
        if found[0].keys() != found[1].keys():
            raise SystemExit(f"{side} half: gradients of {[*found[0]][1:]} against {[*found[1]][1:]}")
        for name, expected in found[0].items():
            difference = ((found[1][name] - expected).norm() / expected.norm()).item()
            if not difference <= TOLERANCE:  # also where it is not a number
                raise SystemExit(f"{side} half: {name} differs by {difference:.2e}; the timing would mean nothing")
            worst = max(worst, difference)
    return worst


def _gradients(method: ContrastiveMethod) -> dict[str, Tensor]:
    gradients = {
        name: [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        for name, network in method.networks.items()
    }
    return {name: torch.cat(parts) for name, parts in gradients.items() if parts}
