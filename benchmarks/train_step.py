"""Speed and memory of one training step, against a plain step written straight from the formulas.

    python benchmarks/train_step.py --recipe tiny --crop 128 --batch 1 --json step.json

The plain step does what reference code does: the generator makes K^F; PatchNCE encodes I and K^F, A2SP encodes K^F
again and K^R, all with a graph; D sees real and fake apart; both pyramids are built with 5x5 kernels; Adam is not
fused; every term is read back at once; float32. First it is shown that both give the same losses and gradients from
the same draws (spectral norms frozen, since their power iterations count passes). Then each is timed in processes of
its own, in turns, so that peak memory is its own too.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.config import load_recipe
from restain.diffusion import diffuse, draw_times
from restain.losses.contrastive import adaptive_weights, info_nce, trust
from restain.losses.pyramid import ASP_WEIGHTS
from restain.methods.contrastive import DISCRIMINATOR, GENERATOR, ContrastiveMethod
from restain.sampling import attention_map, draw_locations
from restain.types import Batch

PROGRESS = 0.95  # late enough for weights theta that are not uniform
SIDES = ("discriminator", "generator")


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
    """Largest relative difference of losses and of gradients between the two steps; raises where it is not rounding."""
    method.eval()  # freezes the power iterations; nothing else depends on it
    plain, worst = PlainStep(method), 0.0
    for side in SIDES:
        found: list[tuple[Tensor, Tensor]] = []
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
            gradient = torch.cat([p.grad.flatten() for p in method.parameters_of(side) if p.grad is not None])
            found.append((loss.detach(), gradient))
        (loss_a, gradient_a), (loss_b, gradient_b) = found
        differences = ((loss_a - loss_b).abs() / loss_a.abs(), (gradient_a - gradient_b).norm() / gradient_a.norm())
        worst = max(worst, *(difference.item() for difference in differences))
    if worst > 1e-3:
        raise SystemExit(f"the two steps differ by {worst:.2e}, more than rounding: the timing would mean nothing")
    method.train()
    method.zero_grad(set_to_none=True)
    return worst


def measure(arguments: argparse.Namespace, whose: str) -> dict[str, float]:
    """Median milliseconds of a step, and this process's peak memory."""
    method, batch = _setup(arguments)
    device = batch.source.device
    plain = whose == "plain"
    optimizers = {
        side: torch.optim.Adam(method.parameters_of(side), 2e-4, (0.5, 0.999), fused=not plain) for side in SIDES
    }
    step = _plain_loop(method, batch, optimizers) if plain else _own_loop(method, batch, optimizers, arguments)
    times = []
    for index in range(arguments.steps + 3):
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if index >= 3:
            times.append(1000 * (time.perf_counter() - start))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**20
    return {"ms": statistics.median(times), "peak_mb": peak}


def _plain_loop(method: ContrastiveMethod, batch: Batch, optimizers: dict[str, torch.optim.Adam]) -> Callable[[], None]:
    plain = PlainStep(method)

    def step() -> None:
        fake = method.networks["generator"](batch.source)
        loss = plain.discriminator_loss(batch, fake)
        optimizers["discriminator"].zero_grad()
        loss.backward()
        optimizers["discriminator"].step()
        total, terms = plain.generator_loss(batch, fake)
        optimizers["generator"].zero_grad()
        total.backward()
        optimizers["generator"].step()
        [term.item() for term in (loss, *terms.values())]
        method.observe({"D_sign": plain.sign.detach()}, len(batch.source))

    return step


def _own_loop(
    method: ContrastiveMethod,
    batch: Batch,
    optimizers: dict[str, torch.optim.Adam],
    arguments: argparse.Namespace,
) -> Callable[[], None]:
    if arguments.compile:
        for network in method.networks.values():
            network.compile()

    def autocast() -> torch.autocast | nullcontext[None]:
        bf16 = arguments.precision == "bf16"
        return torch.autocast(batch.source.device.type, torch.bfloat16) if bf16 else nullcontext()

    def step() -> None:
        with autocast():
            translation = method.translate(batch)
        terms: dict[str, Tensor] = {}
        for side in SIDES:
            half = method.discriminator_step if side == "discriminator" else method.generator_step
            with autocast():
                result = half(batch, translation, PROGRESS)
            result.loss.backward()
            optimizers[side].step()
            optimizers[side].zero_grad(set_to_none=True)
            terms |= result.terms
        method.observe(terms, len(batch.source))

    return step


def _setup(arguments: argparse.Namespace) -> tuple[ContrastiveMethod, Batch]:
    recipe = load_recipe(arguments.recipe, [f"data.crop={arguments.crop}", *arguments.overrides])
    if recipe.patch_nce.identity or recipe.patch_nce.flip_equivariance or recipe.pyramid.form != "asp":
        raise SystemExit(f"{arguments.recipe}: the plain step covers the ASP family only")
    device = torch.device(arguments.device)
    method = ContrastiveMethod(recipe).to(device)
    draw = torch.Generator().manual_seed(0)
    size = (arguments.batch, 3, arguments.crop, arguments.crop)
    source, target = (torch.rand(size, generator=draw) * 2 - 1 for _ in range(2))
    batch = Batch(source, target, ("",) * arguments.batch, tuple(range(arguments.batch)))
    return method, batch.to(device)


def main() -> None:
    """Prove, measure in turns, print, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--set", nargs="*", default=[], dest="overrides", help="section.field=value")
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3, help="processes for each of the two, in turns")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32", help="of restain's step")
    parser.add_argument("--compile", action="store_true", help="restain's step with torch.compile")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", choices=("plain", "restain"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments, arguments.measure)))
        return
    worst = prove(*_setup(arguments))
    print(f"same losses and gradients to {worst:.1e} (relative)")
    found: dict[str, list[dict[str, float]]] = {"plain": [], "restain": []}
    for _ in range(arguments.rounds):
        for whose, results in found.items():
            line = [sys.executable, *sys.argv, "--measure", whose]
            results.append(json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout))
    ms, peak = (
        {whose: statistics.median(result[key] for result in results) for whose, results in found.items()}
        for key in ("ms", "peak_mb")
    )
    figures = {
        "ms_per_step": ms["restain"],
        "baseline_ms_per_step": ms["plain"],
        "speedup": ms["plain"] / ms["restain"],
        "images_per_second": 1000 * arguments.batch / ms["restain"],
        "peak_rss_mb": peak["restain"],
        "baseline_peak_rss_mb": peak["plain"],
        "memory_ratio": peak["restain"] / peak["plain"],
        "largest_difference": worst,
        "recipe": arguments.recipe,
        "overrides": arguments.overrides,
        "crop": arguments.crop,
        "batch": arguments.batch,
        "precision": arguments.precision,
        "compile": arguments.compile,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor() or "CPU",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    for name in ("ms_per_step", "baseline_ms_per_step", "speedup", "images_per_second", "memory_ratio"):
        print(f"{name:24} {figures[name]:.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
