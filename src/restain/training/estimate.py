"""What a training costs, measured on a few of its steps; nothing is written."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from restain.run_folder import RunFolder
from restain.training.checkpoint import checkpoints
from restain.training.distributed import Machine
from restain.training.hooks import Hook, LogLine
from restain.training.interruptions import out_of_memory_explained
from restain.training.loop import Trainer
from restain.training.outline import Outline, outline_of
from restain.training.session import open_trainer
from restain.training.state import load_state

STEPS, WARM_UP = 10, 3  # the first steps fill caches


@dataclass(frozen=True, kw_only=True)
class StepCost:
    """Measured on a few steps."""

    seconds: float  # per step, the median
    peak_bytes: float | None  # of the GPU, or else of the process; None where it cannot be known
    measured: int  # steps


@dataclass(frozen=True)
class TrainingEstimate:
    """What a training would do, and what its steps would cost."""

    outline: Outline
    cost: StepCost

    @property
    def seconds(self) -> float:
        """Of the steps that are left; validations and samples come on top."""
        return self.cost.seconds * (self.outline.steps - self.outline.first_step)


def estimate_training(
    data: str | Path,
    out: str | Path,
    recipe: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    machine: Machine = Machine(),  # noqa: B008 - frozen
) -> TrainingEstimate | None:
    """Take a few steps of a training and throw them away. The run folder is not touched.

    Args and errors are those of ``restain.train``. Networks that a method learns beforehand are left as they start.

    Returns:
        the estimate; None on all processes but the first.
    """
    trainer, run = open_trainer(data, out, recipe, overrides=overrides, resume=resume, machine=machine)
    with out_of_memory_explained(trainer.recipe):
        saved = checkpoints(run.checkpoints)
        if saved:
            load_state(trainer, saved[-1])
        outline = outline_of(trainer, run)
        cost = time_steps(trainer, f"measure {trainer.recipe.name}")
    trainer.processes.leave()
    return TrainingEstimate(outline, cost) if trainer.is_first else None


def time_steps(trainer: Trainer, title: str, steps: int = STEPS) -> StepCost:
    """Take ``steps`` steps from where a trainer is, and time all but the first few."""
    trainer.total = trainer.step + steps
    clock = _Clock()
    hooks: list[Hook] = [clock]
    with tempfile.TemporaryDirectory() as folder:
        trainer.fit(LogLine(steps, None, RunFolder(Path(folder))), hooks, title)
    laps = [after - before for before, after in zip(clock.times[WARM_UP - 1 :], clock.times[WARM_UP:], strict=False)]
    return StepCost(seconds=statistics.median(laps), peak_bytes=_peak(trainer.fabric.device), measured=len(laps))


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


def _peak(device: torch.device) -> float | None:
    """The most memory in bytes: of the GPU, else what this process ever held."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.is_file():  # the other counter starts at the peak of the process that started this one
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    if sys.platform == "win32":  # there is no module resource
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit
