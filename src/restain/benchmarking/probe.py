"""What a system costs, measured on a few steps of its training and on its fresh generator."""

from __future__ import annotations

import math
import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from restain.benchmarking.plan import Contender, Plan, batch_overrides
from restain.benchmarking.records import Cost
from restain.files import write_json
from restain.inference import prepare
from restain.networks.generator import Generator
from restain.networks.specs import GeneratorSpec
from restain.networks.statistics import freeze, measure
from restain.training.distributed import Machine, launch
from restain.training.estimate import STEPS, time_steps
from restain.training.interruptions import out_of_memory_explained
from restain.training.loop import Trainer
from restain.training.outline import device_name

SIDE = 512  # pixels of the image that is stained
_PASSES = 3  # of the stainer; the fastest counts, since other work can only add to it


def measure_cost(plan: Plan, contender: Contender) -> Cost:
    """Measure a system and write ``cost.json``. Meant for a process of its own, whose peak of memory it reports.

    Raises:
        RestainError: the recipe, its data or its memory do not suffice; as ``restain train``.
    """
    words = [*batch_overrides(plan.batch), f"optim.steps={STEPS}", f"log.every={STEPS}", "log.trackers=[]"]
    recipe = plan.recipe(contender, words)
    fabric = launch(recipe, Machine(device=plan.device))
    with out_of_memory_explained(recipe):
        trainer = Trainer(fabric, recipe, plan.manifest())
        steps = time_steps(trainer, f"measure {contender.name}")
        speed = _speed(trainer.stainer(), fabric.device)
    cost = Cost(
        seconds_per_step=steps.seconds,
        peak_memory_mb=None if steps.peak_bytes is None else steps.peak_bytes / 1e6,
        parameters=sum(p.numel() for p in trainer.stainer().parameters()),
        parameters_trained=sum(p.numel() for p in trainer.method.networks.parameters()),
        macs_512=count_macs(recipe.generator),
        mpx_per_second=speed,
        images_per_step=trainer.images_per_step,
        device=device_name(fabric.device),
        threads=torch.get_num_threads(),
        recipe_sha256=plan.recipe_sha256(contender),
    )
    write_json(plan.folder(contender) / "cost.json", cost.model_dump(mode="json"))
    return cost


def count_macs(spec: GeneratorSpec, side: int = SIDE) -> float:
    """Multiply-adds of the convolutions and matrix products of a generator for one image, counted without computing."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        generator = spec.plain().build().eval()
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), counter:
            generator(torch.empty(1, 3, side, side))
    return counter.get_total_flops() / 2


def _speed(generator: Generator, device: torch.device) -> float:
    """Megapixels per second of the stainer as ``restain stain`` runs it."""
    generator.eval()
    side = math.ceil(max(SIDE, generator.smallest) / generator.receptive_field().stride) * (
        generator.receptive_field().stride
    )
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    network = freeze(generator, measure(generator, [image.to(device)])) if generator.norm_sites() else generator
    run, times = prepare(network), []
    for _ in range(1 + _PASSES):
        start = time.perf_counter()
        run(image)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return side * side / 1e6 / min(times[1:])
