"""A training step written straight from Eq. 1-8, and the proof that restain's step is the same mathematics.

The plain step does what reference code does: the generator makes K^F; PatchNCE encodes I and K^F, A2SP encodes K^F
again and K^R, all with a graph; D sees real and fake apart, and is frozen while G steps; both pyramids are built with
5x5 kernels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.diffusion import NoiseSchedule, diffuse, draw_times
from restain.losses.contrastive import adaptive_weights, info_nce, trust
from restain.losses.pyramid import ASP_WEIGHTS
from restain.methods.base import Phase, Progress
from restain.methods.contrastive import ContrastiveMethod
from restain.sampling import attention_map, draw_locations
from restain.types import Batch

PROGRESS = Progress(950, 1000, 40 / 45)  # late enough for weights theta that are not uniform
TOLERANCE = 2e-5  # relative, float32; rounding was some 1.5e-6 from the tiny recipe to asp-dgrank at full width


class PlainStep:
    """Eq. 1-8 term by term, for paired recipes of the ASP family (no identity term, no mirroring)."""

    def __init__(self, method: ContrastiveMethod) -> None:
        self.method, self.config = method, method.config
        self.phases = {phase.name: phase for phase in method.phases}
        self.g, self.f, self.d = (method.networks[name] for name in ("generator", "projector", "discriminator"))

    def discriminator_loss(self, batch: Batch, fake: Tensor) -> Tensor:
        streams = batch.streams("discriminator/fake"), batch.streams("discriminator/real")
        noised, times = self._noised([fake.detach(), batch.target], streams)
        scores = [self.d(image, t) for image, t in zip(noised, times, strict=True)]
        self.sign = (scores[1] - 0.5).sign().mean()
        return 0.5 * ((scores[0] - 0).pow(2).mean() + (scores[1] - 1).pow(2).mean())

    def generator_loss(self, batch: Batch, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        terms: dict[str, Tensor] = {}
        noised, times = self._noised([fake], (batch.streams("generator"),))
        with self.method.only(self.phases["generator"]):
            terms["gan"] = (self.d(noised[0], times[0]) - 1).pow(2).mean()
        loss = config.gan.weight * terms["gan"]
        if config.patch_nce.weight:
            keys, queries = self.g.encode(batch.source, self.method.taps), self.g.encode(fake, self.method.taps)
            streams = batch.streams("patch_nce")
            where = [draw_locations(torch.ones_like(k[:, 0]), config.patches.count, streams) for k in keys]
            terms["patch_nce"] = self._contrast(keys, queries, where, None)
            loss = loss + config.patch_nce.weight * terms["patch_nce"]
        if config.a2sp.weight:
            keys, queries = self.g.encode(batch.target, self.method.taps), self.g.encode(fake, self.method.taps)
            attended = config.a2sp.locations == "attention"
            maps = [attention_map(k) if attended else torch.ones_like(k[:, 0]) for k in keys]
            streams = batch.streams("a2sp")
            where = [draw_locations(a, config.patches.count, streams) for a in maps]
            p = trust(config.a2sp.schedule, PROGRESS.fraction, PROGRESS.decay_start)
            terms["a2sp"] = self._contrast(keys, queries, where, p)
            loss = loss + config.a2sp.weight * terms["a2sp"]
        if config.pyramid.weight:
            levels = zip(_pyramid(fake), _pyramid(batch.target), ASP_WEIGHTS, strict=True)
            terms["pyramid"] = sum(w * (a - b).abs().mean() for a, b, w in levels) / len(ASP_WEIGHTS)
            loss = loss + config.pyramid.weight * terms["pyramid"]
        return loss, terms

    def _noised(
        self, images: list[Tensor], streams: tuple[list[torch.Generator], ...]
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        rule = self.method.adversarial.horizon
        if rule is None:
            return images, [None] * len(images)
        horizon, config = rule.horizon(), self.config.diffusion
        table = NoiseSchedule(config.beta_start, config.beta_end, config.t_max).alpha_bar(horizon)
        noised, times = [], []
        for image, own in zip(images, streams, strict=True):
            times.append(draw_times(horizon, config.clean_fraction, own))
            noised.append(diffuse(image, table[times[-1]], config.sigma, own))
        return noised, list(times)

    def _contrast(self, keys: list[Tensor], queries: list[Tensor], where: list[Tensor], p: float | None) -> Tensor:
        losses = []
        for u, v in zip(self.f(keys, where), self.f(queries, where), strict=True):
            loss = info_nce(v, u.detach(), self.config.patches.tau)
            if p is not None:
                loss = adaptive_weights((u * v).sum(-1), p, self.config.a2sp.lookup) * loss
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
    for phase in method.phases:
        found: list[dict[str, Tensor]] = []
        for whose in ("plain", "restain"):
            method.zero_grad(set_to_none=True)
            if whose == "restain":
                loss = own_loss(method, phase, batch)
            elif phase.name == "discriminator":
                loss = plain.discriminator_loss(batch, method.networks["generator"](batch.source))
            else:
                loss = plain.generator_loss(batch, method.networks["generator"](batch.source))[0]
            loss.backward()
            found.append({"loss": loss.detach(), **_gradients(method)})
        if found[0].keys() != found[1].keys():
            raise SystemExit(f"{phase.name} phase: gradients of {[*found[0]][1:]} against {[*found[1]][1:]}")
        for name, expected in found[0].items():
            difference = ((found[1][name] - expected).norm() / expected.norm()).item()
            if not difference <= TOLERANCE:  # also where it is not a number
                raise SystemExit(f"{phase.name} phase: {name} differs by {difference:.1e}; a timing would mean nothing")
            worst = max(worst, difference)
    return worst


def own_loss(method: ContrastiveMethod, phase: Phase, batch: Batch) -> Tensor:
    """The loss of a phase as restain's loop asks for it."""
    shared = method.forward_pass(batch)
    with method.only(phase):
        return method.loss(phase, batch, shared, PROGRESS).loss


def _gradients(method: ContrastiveMethod) -> dict[str, Tensor]:
    gradients = {
        name: [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        for name, network in method.networks.items()
    }
    return {name: torch.cat(parts) for name, parts in gradients.items() if parts}
