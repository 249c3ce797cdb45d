"""What a system costs, measured on a few steps of its training and on its fresh generator."""

from __future__ import annotations

import math
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from restain.benchmarking.plan import Contender, Cost, Plan, batch_overrides
from restain.files import write_json
from restain.inference import prepare
from restain.networks.generator import Generator
from restain.networks.norms import freeze, measure
from restain.networks.specs import GeneratorSpec
from restain.run_folder import RunFolder
from restain.training.distributed import Machine, launch
from restain.training.hooks import Hook, LogLine
from restain.training.interruptions import out_of_memory_explained
from restain.training.loop import Trainer
from restain.training.session import device_name

STEPS, WARM_UP = 10, 3  # of the training; the first ones fill caches
SIDE = 512  # pixels of the image that is stained
_PASSES = 3  # of the stainer; the fastest counts, since other work can only add to it


class _Clock:
    """A hook that notes the time after every step."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def due(self, step: int, total: int, stopping: bool) -> bool:
        return True

    def run(self, trainer: Trainer) -> None:
        if trainer.fabric.device.type == "cuda":
            torch.cuda.synchronize()
        self.times.append(time.perf_counter())


def measure_cost(plan: Plan, contender: Contender) -> Cost:
    """Measure a system and write ``cost.json``. Meant for a process of its own, whose peak of memory it reports.

    Raises:
        RestainError: the recipe, its data or its memory do not suffice; as ``restain train``.
    """
    words = [*batch_overrides(plan.batch), f"optim.steps={STEPS}", f"log.every={STEPS}", "log.trackers=[]"]
    recipe = plan.recipe(contender, words)
    fabric = launch(recipe, Machine(device=plan.device))
    clock, on_gpu = _Clock(), fabric.device.type == "cuda"
    with out_of_memory_explained(recipe), tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(fabric, recipe, plan.manifest())
        hooks: list[Hook] = [clock]
        trainer.fit(LogLine(STEPS, None, RunFolder(Path(folder))), hooks, f"measure {contender.name}")
        peak = torch.cuda.max_memory_allocated() if on_gpu else _peak_of_process()
        speed = _speed(trainer.stainer(), fabric.device)
    laps = [after - before for before, after in zip(clock.times[WARM_UP - 1 :], clock.times[WARM_UP:], strict=False)]
    cost = Cost(
        seconds_per_step=statistics.median(laps),
        peak_memory_mb=peak / 1e6,
        parameters=sum(p.numel() for p in trainer.stainer().parameters()),
        parameters_trained=sum(p.numel() for p in trainer.method.networks.parameters()),
        macs_512=count_macs(recipe.generator),
        mpx_per_second=speed,
        images_per_step=trainer.images_per_step,
        device=device_name(fabric.device),
        threads=torch.get_num_threads(),
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


def _peak_of_process() -> float:
    """The most memory that this process ever held, in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # the other counter starts at the peak of the process that started this one
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * 1024
