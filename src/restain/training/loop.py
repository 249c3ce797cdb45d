"""The training loop: fetch, step, look around.

One step: the method's forward pass once, then each phase in its order on what that pass gave. Nothing in the loop waits
for the device between two lines of the log. Every random draw for an image follows from the recipe's seed, the epoch
and the image's place in it, so a run can be stopped anywhere and continued to the same weights, and be divided over
processes without changing what is drawn. Dropout alone, which PyTorch draws for a whole batch, follows from the seed,
the step and the process.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from restain.calibration import CROPS, training_crops
from restain.data.pairs import EpochSampler, collate, require_labels, training_images
from restain.data.records import Manifest
from restain.data.transforms import Jitter
from restain.errors import RestainError, Stopped
from restain.methods.base import Method, Progress, has_graph, without_graph
from restain.networks.generator import Generator
from restain.networks.layers import settle_spectral_norm
from restain.progress import ProgressBar
from restain.recipes import Recipe
from restain.training.distributed import Processes
from restain.training.hooks import Hook, LogLine
from restain.training.interruptions import StopRequest, leave_stop_requests_to_the_loop, stop_requests_noted
from restain.training.maps import prepared_maps
from restain.training.optimizers import Optimizers, moving_average
from restain.training.validation import BestScore
from restain.types import Batch, mix_seed

GOES_ON, STOPS, FAILED = range(3)  # what a process tells the others before each step


class Trainer:
    """The state of one run and the steps that move it."""

    def __init__(self, fabric: Fabric, recipe: Recipe, manifest: Manifest) -> None:
        self.fabric, self.recipe, self.manifest = fabric, recipe, manifest
        data, optim, engine = recipe.data, recipe.optim, recipe.engine
        self.processes = Processes(fabric)
        if recipe.method.needs.labels:
            require_labels(manifest, recipe.method.needs.labels)
        self.dataset = training_images(
            manifest,
            paired=data.paired,
            crop=data.crop,
            flip=data.flip,
            turns=data.turns,
            scale=data.scale,
            jitter=Jitter(*data.jitter, stain=data.stain_jitter),
            maps=prepared_maps(recipe, manifest, self.processes),
            weighted=data.pair_weights,
            min_weight=data.min_weight,
        )
        self.images_per_step = optim.batch * optim.accumulate * self.processes.count
        self.steps_per_epoch = self._sampler(0).steps_per_epoch
        self.total = optim.steps or self.steps_per_epoch * (optim.epochs + optim.decay_epochs)
        self.step = 0
        self.method: Method[Any] = recipe.method.build(recipe.generator, seed=recipe.seed, crop=data.crop)
        layout = torch.channels_last if engine.channels_last else torch.contiguous_format
        self.method.to(fabric.device).to(memory_format=layout)  # type: ignore[call-overload]
        self.processes.broadcast(self.method)
        self.optimizers = Optimizers(self.method, optim, self.processes)
        self.average: AveragedModel | None = None
        if optim.ema is not None:
            self.average = moving_average(self.method.stainer(), optim.ema)
        if engine.compile:
            for network in self.method.networks.values():
                network.compile()
        self.learning_rate = optim.lr
        self.best = BestScore()
        self.out_of_patience = False  # with the validation; see the recipe's validation.patience
        self.pending: list[dict[str, Tensor]] = []  # terms of the steps since the last line of the log, on the device
        self.stop_request = StopRequest()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.processes.rank == 0

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return Progress(self.step, self.total, self.recipe.decay_start)

    @property
    def finished(self) -> bool:
        """Whether every step is done, or the validation has ended the run before."""
        return self.step >= self.total or self.out_of_patience

    def stainer(self) -> Generator:
        """The network that is being learned, or its moving average where the recipe asks for one."""
        if self.average is None:
            return self.method.stainer()
        average = cast(Generator, self.average.module)
        settle_spectral_norm(average)
        return average

    def crops(self, count: int = CROPS) -> Iterator[Tensor]:
        """Random crops of the H&E that is trained on, on which the stainer's norms are measured: (1, 3, crop, crop)."""
        data = self.recipe.data
        return training_crops(self.dataset.he, side=data.crop, scale=data.scale, count=count, seed=self.recipe.seed)

    def fit(self, log: LogLine, hooks: list[Hook], title: str) -> None:
        """Run from the current step to the end.

        Raises:
            Stopped: the run was told to stop, on any process, after its state was saved.
            RestainError: a hook refuses to go on.
        """
        with (
            torch.random.fork_rng(self._devices()),  # the global generators belong to the caller
            self._batches() as batches,
            stop_requests_noted() as self.stop_request,
            ProgressBar(title, self.total, "steps", self.step, quiet=not self.is_first) as bar,
        ):
            log.start(self.step)
            while not self.finished:
                self._train_step(self._fetch(batches))
                self.step += 1
                bar.advance()
                stopping = self._told_to_stop()
                due = [hook for hook in hooks if hook.due(self.step, self.total, stopping)]
                if due or log.due(self.step, self.total):
                    bar.note = log.run(self)
                for hook in due:
                    hook.run(self)
                if stopping and not self.finished:
                    cause = self.stop_request.signal or "another process"
                    raise Stopped(
                        f"stopped by {cause} at step {self.step} of {self.total}; the state is saved, give --resume to "
                        "continue"
                    )

    def _train_step(self, batches: list[Batch]) -> None:
        progress = self.progress
        self.learning_rate = self.optimizers.set_rates(progress)
        torch.manual_seed(mix_seed(self.recipe.seed, "step", self.step, self.processes.rank))
        self.method.train()
        passes: dict[int, Any] = {}
        if len(batches) == 1:
            with self.fabric.autocast():
                passes[0] = self.method.forward_pass(batches[0])
        terms: dict[str, Tensor] = {}
        carried: dict[str, list[Tensor]] = defaultdict(list)
        for phase in self.method.phases:
            if self.step % phase.every:
                continue
            with self.method.only(phase):
                for place, batch in enumerate(batches):
                    with self.fabric.autocast():
                        step = self.method.loss(phase, batch, self._pass(passes, place, batch), progress)
                    (step.loss / len(batches)).backward()  # type: ignore[no-untyped-call]
                    for name, value in {phase.name: step.loss.detach(), **step.terms}.items():
                        terms[name] = terms.get(name, 0.0) + value.float() / len(batches)
                    for name, rows in step.carried.items():
                        carried[name].append(rows)
            self.optimizers.step(phase)
        means = self.processes.mean(torch.stack(list(terms.values())))
        self.pending.append(dict(zip(terms, means, strict=True)))
        rows_of_all = {name: torch.cat([self.processes.rows(part) for part in rows]) for name, rows in carried.items()}
        self.method.after_step(self.pending[-1], rows_of_all, self.images_per_step, progress)
        if self.average is not None:
            self.average.update_parameters(self.method.stainer())

    def _pass(self, passes: dict[int, Any], place: int, batch: Batch) -> Any:
        """The forward pass of a micro-batch. Keeping every graph of an accumulated step would undo the saving."""
        if place in passes:
            return passes[place]
        shared = self.method.forward_pass(batch)
        if has_graph(shared):  # after this phase the networks are others; what they made serves the later phases
            passes[place] = without_graph(shared)
        return shared

    def _told_to_stop(self) -> bool:
        """Whether any process was; a signal may reach one only."""
        return self.processes.largest(STOPS if self.stop_request.signal else GOES_ON) == STOPS

    def _devices(self) -> list[torch.device]:
        return [self.fabric.device] if self.fabric.device.type == "cuda" else []

    # --- data

    def _sampler(self, epoch: int, start_step: int = 0) -> EpochSampler:
        optim = self.recipe.optim
        return EpochSampler(
            len(self.dataset),
            optim.batch,
            self.recipe.seed,
            epoch,
            rank=self.processes.rank,
            world=self.processes.count,
            accumulate=optim.accumulate,
            start_step=start_step,
        )

    @contextlib.contextmanager
    def _batches(self) -> Iterator[Iterator[Batch]]:
        first, done = divmod(self.step, self.steps_per_epoch)
        samplers = (self._sampler(epoch, done if epoch == first else 0) for epoch in itertools.count(first))
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=itertools.chain.from_iterable(samplers),
            collate_fn=collate,
            num_workers=self.recipe.engine.workers,
            worker_init_fn=leave_stop_requests_to_the_loop,
            pin_memory=self.fabric.device.type == "cuda",
        )
        batches = iter(loader)
        try:
            yield batches
        finally:
            # An exception keeps this iterator alive; workers that nobody told to end would hold up Python's exit.
            if self.recipe.engine.workers:
                cast(Any, batches)._shutdown_workers()

    def _fetch(self, batches: Iterator[Batch]) -> list[Batch]:
        """The micro-batches of a step; an image that one process cannot read ends all of them."""
        fetched: list[Batch] = []
        problem: RestainError | None = None
        try:
            fetched = [next(batches) for _ in range(self.recipe.optim.accumulate)]
        except RestainError as error:  # from a worker it comes wrapped in the worker's traceback
            problem = RestainError(str(error).rpartition("RestainError: ")[2].strip())
        if self.processes.largest(GOES_ON if problem is None else FAILED) == FAILED:
            raise problem or RestainError("another process could not read an image; its message names the file")
        return [batch.to(self.fabric.device, self.recipe.engine.channels_last) for batch in fetched]
