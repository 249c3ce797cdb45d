"""What happens beside the steps: the log, samples, validation and checkpoints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn, Protocol

import torch

from restain.errors import RestainError
from restain.run_folder import RunFolder
from restain.tracking import Tracker
from restain.training.checkpoint import checkpoints
from restain.training.previews import Previews
from restain.training.state import save_state

if TYPE_CHECKING:
    from restain.training.loop import Trainer


class Hook(Protocol):
    """Something that the loop runs now and then."""

    def due(self, step: int, total: int, stopping: bool) -> bool:
        """Whether it is to run after ``step`` of ``total`` steps; ``stopping``: the run was told to stop."""

    def run(self, trainer: Trainer) -> None:
        """Run, on every process."""


def due_every(every: int, step: int, total: int) -> bool:
    """After every so many steps, and at the end; never where ``every`` is 0."""
    return bool(every) and (step % every == 0 or step == total)


class LogLine:
    """A line of the log: the mean of each term since the last line. Runs before the other hooks.

    A term that is not finite ends the run here.
    """

    def __init__(self, every: int, tracker: Tracker | None, run: RunFolder) -> None:
        self._every, self._tracker, self._run = every, tracker, run
        self._since = 0, 0.0  # step and clock of the last line

    def due(self, step: int, total: int) -> bool:
        """See ``Hook``."""
        return due_every(self._every, step, total)

    def run(self, trainer: Trainer) -> str:
        """Write the line; returns it in short, for the progress bar.

        Raises:
            RestainError: a term was not finite; the state is kept to be looked at.
        """
        means = self._means(trainer)
        row = {
            "epoch": trainer.step / trainer.steps_per_epoch,
            "progress": trainer.step / trainer.total,
            "lr": trainer.learning_rate,
            **means,
            "images_per_second": self._speed(trainer),
        }
        if self._tracker is not None:
            self._tracker.log(trainer.step, row)
        return " ".join(f"{name} {value:.3g}" for name, value in means.items())

    def start(self, step: int) -> None:
        """Start the clock."""
        self._since = step, time.monotonic()

    def _speed(self, trainer: Trainer) -> float:
        step, clock = self._since
        self.start(trainer.step)
        return (trainer.step - step) * trainer.images_per_step / max(1e-9, self._since[1] - clock)

    def _means(self, trainer: Trainer) -> dict[str, float]:
        pending, trainer.pending = trainer.pending, []
        names = list(dict.fromkeys(name for terms in pending for name in terms))
        # One copy from the device: rows are steps, and a phase that is not stepped every time leaves holes.
        hole = pending[0][next(iter(pending[0]))] * 0
        table = (
            torch.stack([torch.stack([terms.get(name, hole) for name in names]) for terms in pending]).cpu().double()
        )
        for row, terms in enumerate(pending):
            for column, name in enumerate(names):
                if name in terms and not table[row, column].isfinite():
                    step = trainer.step - len(pending) + row + 1
                    stop_nonfinite(
                        trainer, self._run, f"loss term {name} is {table[row, column].item()} at step {step}"
                    )
        counts = {name: sum(name in terms for terms in pending) for name in names}
        sums = torch.where(table.isfinite(), table, 0.0).sum(dim=0).tolist()
        return {name: total / counts[name] for name, total in zip(names, sums, strict=True)}


class Samples:
    """Sheets of H&E, virtual and real IHC of fields that are not trained on."""

    def __init__(self, every: int, previews: Previews, run: RunFolder, tracker: Tracker | None) -> None:
        self._every, self._previews, self._run, self._tracker = every, previews, run, tracker

    def due(self, step: int, total: int, stopping: bool) -> bool:
        """See ``Hook``."""
        return due_every(self._every, step, total)

    def run(self, trainer: Trainer) -> None:
        """See ``Hook``."""
        if not trainer.is_first:
            return
        generator = trainer.stainer()
        generator.eval()
        with torch.no_grad(), trainer.fabric.autocast(), torch.compiler.set_stance("force_eager"):
            fields = torch.split(self._previews.source.to(trainer.fabric.device), 1)
            virtual = torch.cat([generator(field) for field in fields])
        path = self._run.root / "samples" / f"step-{trainer.step:08d}.png"
        self._previews.write_grid(path, virtual)
        if self._tracker is not None:
            self._tracker.picture(trainer.step, "samples", path)


class Checkpoints:
    """The state of the run, whole or not at all; the last two are kept."""

    def __init__(self, every: int, run: RunFolder) -> None:
        self._every, self._run = every, run

    def due(self, step: int, total: int, stopping: bool) -> bool:
        """See ``Hook``."""
        return stopping or due_every(self._every, step, total)

    def run(self, trainer: Trainer) -> None:
        """Save; raises RestainError where weights are not finite."""
        refuse_nonfinite_weights(trainer, self._run)
        save_state(trainer, self._run.checkpoints)


def refuse_nonfinite_weights(trainer: Trainer, run: RunFolder) -> None:
    """End the run where a weight is not finite, which finite losses do not exclude."""
    for name, network in trainer.method.networks.items():
        if not torch.stack([parameter.isfinite().all() for parameter in network.parameters()]).all():
            stop_nonfinite(trainer, run, f"the {name} has weights that are not finite at step {trainer.step}")


def stop_nonfinite(trainer: Trainer, run: RunFolder, what: str) -> NoReturn:
    """End the run; bad weights must not push a good checkpoint out, so they are kept apart."""
    kept = checkpoints(run.checkpoints)
    good = f"the last good checkpoint is {kept[-1]}" if kept else "no checkpoint was due before it"
    look = run.root / "nonfinite"
    save_state(trainer, look)
    raise RestainError(f"{what}; the state after it is in {look}, {good}; a lower optim.lr or optim.clip may help")
