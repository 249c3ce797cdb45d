"""Speed and memory of one training step, against a plain step written straight from the formulas.

    python benchmarks/train_step.py --recipe tiny --crop 128 --batch 1 --json step.json

The plain step is that of ``plain_step.py``, in float32, with Adam that is not fused and every term read back at once.
First it is shown that both steps give the same losses and, network by network, the same gradients from the same draws.
Then each is timed in processes of its own, in turns. Where other work shares the machine, trust the processor time
(``cpu_``) before the wall time.
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
from typing import Any

import torch
from plain_step import PROGRESS, PlainStep, prove
from torch import Tensor

from restain.files import write_json
from restain.methods.contrastive import ContrastiveMethod
from restain.methods.contrastive_config import ContrastiveConfig
from restain.recipes import load_recipe
from restain.types import Batch


def measure(arguments: argparse.Namespace, whose: str) -> dict[str, float]:
    """Median milliseconds of a step by the clock, mean of the processor, and this process's peak memory."""
    method, batch = _setup(arguments)
    device = batch.source.device
    plain = whose == "plain"
    optimizers = {
        phase.name: torch.optim.Adam(method.parameters_of(phase), 2e-4, (0.5, 0.999), fused=not plain)
        for phase in method.phases
    }
    step = _plain_loop(method, batch, optimizers) if plain else _own_loop(method, batch, optimizers, arguments)
    times, busy = [], 0.0
    for index in range(arguments.steps + 3):
        if index == 3:
            busy = time.process_time()
        start = time.perf_counter()
        step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if index >= 3:
            times.append(1000 * (time.perf_counter() - start))
    busy = 1000 * (time.process_time() - busy) / arguments.steps
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**20
    return {"ms": statistics.median(times), "cpu_ms": busy, "peak_mb": peak}


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
        method.after_step({"D_sign": plain.sign.detach()}, {}, len(batch.source), PROGRESS)

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
            shared = method.forward_pass(batch)
        terms: dict[str, Tensor] = {}
        for phase in method.phases:
            with method.only(phase):
                with autocast():
                    result = method.loss(phase, batch, shared, PROGRESS)
                result.loss.backward()
            optimizers[phase.name].step()
            optimizers[phase.name].zero_grad(set_to_none=True)
            terms |= result.terms
        method.after_step(terms, {}, len(batch.source), PROGRESS)

    return step


def _setup(arguments: argparse.Namespace) -> tuple[ContrastiveMethod, Batch]:
    recipe = load_recipe(arguments.recipe, [f"data.crop={arguments.crop}", *arguments.overrides])
    config = recipe.method
    covered = (
        isinstance(config, ContrastiveConfig)
        and config.pyramid.form == "asp"
        and config.gan.mode == "lsgan"
        and not config.gan.conditional
    )
    if not covered or config.patch_nce.identity or config.patch_nce.flip_equivariance:
        raise SystemExit(f"{arguments.recipe}: the plain step covers the ASP family only")
    device = torch.device(arguments.device)
    layout = torch.channels_last if recipe.engine.channels_last else torch.contiguous_format
    method = config.build(recipe.generator, seed=recipe.seed, crop=recipe.data.crop)
    method = method.to(device).to(memory_format=layout)
    draw = torch.Generator().manual_seed(0)
    size = (arguments.batch, 3, arguments.crop, arguments.crop)
    source, target = (torch.rand(size, generator=draw) * 2 - 1 for _ in range(2))
    batch = Batch(source, target, ("",) * arguments.batch, tuple(range(arguments.batch)))
    return method, batch.to(device, recipe.engine.channels_last)


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
    parser.add_argument("--measure", choices=("proof", "plain", "restain"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        proof = arguments.measure == "proof"
        print(json.dumps(prove(*_setup(arguments)) if proof else measure(arguments, arguments.measure)))
        return
    # The proof, too, has a process of its own: on Linux a child's peak memory starts at that of its parent.
    worst = _in_own_process("proof")
    print(f"same losses and gradients to {worst:.1e} (relative)")
    found: dict[str, list[dict[str, float]]] = {"plain": [], "restain": []}
    for _ in range(arguments.rounds):
        for whose, results in found.items():
            results.append(_in_own_process(whose))
    ms, cpu_ms, peak = (
        {whose: statistics.median(result[key] for result in results) for whose, results in found.items()}
        for key in ("ms", "cpu_ms", "peak_mb")
    )
    figures = {
        "ms_per_step": ms["restain"],
        "baseline_ms_per_step": ms["plain"],
        "speedup": ms["plain"] / ms["restain"],
        "cpu_ms_per_step": cpu_ms["restain"],
        "baseline_cpu_ms_per_step": cpu_ms["plain"],
        "cpu_speedup": cpu_ms["plain"] / cpu_ms["restain"],
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
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    for name, value in figures.items():
        if isinstance(value, float) and name != "largest_difference":
            print(f"{name:24} {value:.3f}")
    if arguments.json:
        write_json(arguments.json, figures)


def _in_own_process(measured: str) -> Any:
    line = [sys.executable, *sys.argv, "--measure", measured]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True)
    if done.returncode:  # it has said why
        raise SystemExit(done.returncode)
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
