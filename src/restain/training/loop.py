"""The training loop; the only module that knows Lightning Fabric.

One optimizer step: the generator translates once, the discriminator steps on the detached images, the generator
steps on the same translation. Nothing in the loop waits for the device between two lines of the log. Every random
draw of a step follows from the recipe's seed, the epoch and the image's place in it, so a run can be stopped anywhere
and continued to the same weights, and be divided over processes without changing what is drawn.
"""

from __future__ import annotations

import contextlib
import copy
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from restain.data.layouts import find_pairs
from restain.data.pairs import EpochSampler, collate, training_images
from restain.data.records import Manifest
from restain.errors import RestainError
from restain.files import write_json, write_text
from restain.methods import build_method
from restain.methods.base import Method, Step, Translation
from restain.networks.resnet import ResnetGenerator
from restain.progress import ProgressBar
from restain.recipes.recipe import Recipe, load_recipe
from restain.stainer import StainerCard, save_stainer
from restain.tensors import find_device
from restain.tracking import RunInfo, Tracker, open_trackers
from restain.training.checkpoint import checkpoints, load_checkpoint, refuse_other_run, save_checkpoint
from restain.training.interruptions import (
    StopRequest,
    leave_stop_requests_to_the_loop,
    out_of_memory_explained,
    stop_requests_noted,
)
from restain.training.run_folder import RunFolder, find_previews
from restain.types import Batch

SIDES = ("discriminator", "generator")


@dataclass(frozen=True)
class Machine:
    """Where a run takes place; under torchrun or SLURM, give the same counts to both."""

    device: str = "auto"  # auto, cpu or cuda
    devices: int = 1  # processes on each node, one a GPU
    nodes: int = 1


def train(
    data: str | Path,
    out: str | Path,
    recipe: str | Path = "asp-dgrank",
    overrides: Sequence[str] = (),
    resume: bool = False,
    machine: Machine = Machine(),
) -> Path:
    """Learn a stain from a folder of images and leave a run folder with a stainer in it.

    Args:
        data: a folder in one of the known layouts (see ``restain.inspect``), or a CSV manifest.
        out: the run folder; must be empty or new unless ``resume``.
        recipe: name of a shipped recipe or path of a YAML file.
        overrides: ``section.field=value`` changes to the recipe.
        resume: continue from the last checkpoint in ``out``, if there is one.
        machine: device and number of processes.

    Returns:
        the path of the stainer folder.

    Raises:
        RestainError: bad recipe, data or folder; a loss that is not finite; memory that does not suffice; or
            the run was told to stop, after its state was saved.
    """
    settings = load_recipe(recipe, overrides)
    manifest = find_pairs(Path(data), settings.data.target)
    fabric = _launch(settings, machine)
    with out_of_memory_explained(settings):
        trainer = Trainer(fabric, settings, manifest, RunFolder(Path(out)))
        trainer.prepare(resume)
        trainer.fit()
    if fabric.world_size > 1:  # leave together: a process that goes first takes the connections of the others with it
        fabric.barrier()
        torch.distributed.destroy_process_group()
    return trainer.run.stainer


def _launch(recipe: Recipe, machine: Machine) -> Fabric:
    device = find_device(machine.device)
    if machine.devices < 1 or machine.nodes < 1:
        raise RestainError(f"devices is {machine.devices} and nodes {machine.nodes}; expected at least 1 of each")
    if device == "cuda" and machine.devices > torch.cuda.device_count():
        raise RestainError(f"devices is {machine.devices}, but PyTorch sees {torch.cuda.device_count()} CUDA devices")
    started = os.environ.get("WORLD_SIZE") if "TORCHELASTIC_RUN_ID" in os.environ else None
    if started is not None and int(started) != machine.devices * machine.nodes:
        # Each process would take itself for the only one, and all would write into one run folder.
        raise RestainError(
            f"torchrun started {started} processes, but devices is {machine.devices} and nodes {machine.nodes}; "
            "give the same counts to both"
        )
    fabric = Fabric(
        accelerator=device,
        devices=machine.devices,
        num_nodes=machine.nodes,
        strategy="ddp" if machine.devices * machine.nodes > 1 else "auto",
        precision="bf16-mixed" if recipe.engine.precision == "bf16" else "32-true",
    )
    fabric.launch()
    return fabric


class Trainer:
    """The state of one run and the steps that move it."""

    def __init__(self, fabric: Fabric, recipe: Recipe, manifest: Manifest, run: RunFolder) -> None:
        self.fabric, self.recipe, self.manifest, self.run = fabric, recipe, manifest, run
        self.world = fabric.world_size
        self.step = 0
        data = recipe.data
        self.dataset = training_images(manifest, data.paired, data.crop, data.flip)
        self.previews = find_previews(manifest)
        optim = recipe.optim
        self.images_per_step = optim.batch * optim.accumulate * self.world
        self.steps_per_epoch = self._sampler(0).steps_per_epoch
        self.total = self.steps_per_epoch * (optim.epochs + optim.decay_epochs)
        self.method: Method = build_method(recipe)
        layout = torch.channels_last if recipe.engine.channels_last else torch.contiguous_format
        self.method.to(fabric.device).to(memory_format=layout)  # type: ignore[call-overload]
        self.optimizers = {
            side: torch.optim.Adam(self.method.parameters_of(side), optim.lr, optim.betas, fused=True) for side in SIDES
        }
        self.average: AveragedModel | None = None
        if optim.ema is not None:
            decay = get_ema_multi_avg_fn(optim.ema)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(self.generator, multi_avg_fn=decay)
        if recipe.engine.compile:
            for network in self.method.networks.values():
                network.compile()
        self.pending: list[Tensor] = []  # terms of the steps since the last line of the log, on the device
        self.names: list[str] = []
        self.stop_request = StopRequest()

    @property
    def generator(self) -> ResnetGenerator:
        """The network that is being learned for its own sake."""
        network = self.method.networks["generator"]
        assert isinstance(network, ResnetGenerator)
        return network

    # --- before and after

    def prepare(self, resume: bool) -> None:
        """Set the run folder up, or load its last checkpoint."""
        saved = checkpoints(self.run.checkpoints)
        if saved and not resume:
            raise RestainError(f"{self.run.root}: already holds a run; give --resume to continue it, or another --out")
        if saved:
            self._load(saved[-1])
        self.fabric.barrier()
        if not self.fabric.is_global_zero:
            return
        write_text(self.run.recipe, self.recipe.to_yaml())
        self.run.write_environment(_device_name(self.fabric.device), self.world)
        manifest = self.manifest
        splits = {split: len(manifest.pairs(split)) for split in manifest.splits()}
        write_json(
            self.run.root / "data.json",
            {
                "root": str(manifest.root.resolve()),
                "layout": manifest.layout,
                "target": self.recipe.data.target,
                "splits": splits,
                "fingerprint": manifest.fingerprint(),
            },
        )

    def _state(self) -> dict[str, Any]:
        # Samples, crops, locations and noise are drawn from seeds that follow from `step`; the global generators
        # are kept for networks that draw from them, such as dropout.
        cuda = self.fabric.device.type == "cuda"
        return {
            "step": self.step,
            "method": self.method.state_dict(),
            "optimizers": {side: optimizer.state_dict() for side, optimizer in self.optimizers.items()},
            "average": None if self.average is None else self.average.state_dict(),
            "rng": torch.get_rng_state(),
            "rng_cuda": torch.cuda.get_rng_state(self.fabric.device) if cuda else None,
            "recipe": self.recipe.model_dump(mode="json"),
            **self._identity(),
        }

    def _identity(self) -> dict[str, Any]:
        """What a resumed run must find unchanged, the recipe apart."""
        return {"data": self.manifest.fingerprint(), "images_per_step": self.images_per_step}

    def _load(self, path: Path) -> None:
        state = load_checkpoint(path)
        refuse_other_run(path, state, self._identity(), self.recipe)
        self.step = state["step"]
        self.method.load_state_dict(state["method"])
        for side, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][side])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        torch.set_rng_state(state["rng"])
        if state["rng_cuda"] is not None and self.fabric.device.type == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"], self.fabric.device)

    def _save(self) -> None:
        # A gradient can be bad where its loss is not; such weights must not push a good checkpoint out.
        for name, network in self.method.networks.items():
            if not torch.stack([parameter.isfinite().all() for parameter in network.parameters()]).all():
                self._stop_nonfinite(f"the {name} has weights that are not finite at step {self.step}")
        self._save_in(self.run.checkpoints)

    def _save_in(self, folder: Path) -> None:
        if self.fabric.is_global_zero:
            save_checkpoint(folder, self._state())
        self.fabric.barrier()  # a process that ends while the first one writes may get it killed

    def _stop_nonfinite(self, what: str) -> NoReturn:
        kept = checkpoints(self.run.checkpoints)
        good = f"the last good checkpoint is {kept[-1]}" if kept else "no checkpoint was due before it"
        look = self.run.root / "nonfinite"
        self._save_in(look)
        raise RestainError(f"{what}; the state after it is in {look}, {good}; a lower optim.lr or optim.clip may help")

    def _finish(self) -> None:
        if not self.fabric.is_global_zero:
            return
        self._write_samples()
        if self.previews is not None:
            maps = self.method.attention_maps(self.previews.target.to(self.fabric.device))
            self.previews.write_attention(self.run.root / "attention", maps)
        data, optim = self.recipe.data, self.recipe.optim
        card = StainerCard(
            stain=data.stain,
            mpp=data.mpp,
            tile_size=data.crop,
            recipe=self.recipe.name,
            trained={
                "steps": self.step,
                "epochs": optim.epochs + optim.decay_epochs,
                "images_per_step": self.images_per_step,
                "training_images": len(self.dataset),
                "data_fingerprint": self.manifest.fingerprint(),
                "seed": self.recipe.seed,
                "device": _device_name(self.fabric.device),
                "precision": self.recipe.engine.precision,
                "moving_average": optim.ema,
            },
        )
        save_stainer(self.run.stainer, copy.deepcopy(self._best_generator()), card)

    def _best_generator(self) -> ResnetGenerator:
        if self.average is None:
            return self.generator
        averaged = self.average.module
        assert isinstance(averaged, ResnetGenerator)
        return averaged

    # --- the loop

    def fit(self) -> None:
        """Run from the current step to the end."""
        rank_zero = self.fabric.is_global_zero
        log = self._open_trackers() if rank_zero else None
        closing = contextlib.closing(log) if log is not None else contextlib.nullcontext()
        with (
            closing,
            self._batches() as batches,
            stop_requests_noted() as self.stop_request,
            ProgressBar(f"train {self.recipe.name}", self.total, "steps", self.step, quiet=not rank_zero) as bar,
        ):
            since, clock = self.step, time.monotonic()
            while self.step < self.total:
                self._train_step([self._fetch(batches) for _ in range(self.recipe.optim.accumulate)])
                self.step += 1
                bar.advance()
                due = {name: self._due(every) for name, every in self._intervals().items()}
                # A signal may reach one process only; several look for it together, when a line of the log is due.
                if any(due.values()) or (self.stop_request.signal and self.world == 1):
                    row = self._read_pending()
                    images = (self.step - since) * self.images_per_step
                    row["images_per_second"] = images / (time.monotonic() - clock)
                    if log is not None:
                        log.log(self.step, row)
                    bar.note = " ".join(f"{key} {row[key]:.3g}" for key in self.names)
                    stopping = self._any_process_stops()
                    if due["checkpoint"] or stopping:
                        self._save()
                    if due["samples"] and rank_zero:
                        self._write_samples()
                    if stopping and self.step < self.total:
                        cause = self.stop_request.signal or "another process"
                        raise RestainError(
                            f"stopped by {cause} at step {self.step} of {self.total}; the state is saved in "
                            f"{self.run.root}, give --resume to continue"
                        )
                    since, clock = self.step, time.monotonic()
        self._finish()

    def _open_trackers(self) -> Tracker:
        recipe = self.recipe
        info = RunInfo(name=recipe.name, config=recipe.model_dump(mode="json"), folder=self.run.root, step=self.step)
        return open_trackers(["tensorboard"] if recipe.log.tensorboard else [], info)

    def _intervals(self) -> dict[str, int]:
        log = self.recipe.log
        return {"log": log.every, "samples": log.samples, "checkpoint": log.checkpoint}

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.total

    def _train_step(self, batches: list[Batch]) -> None:
        progress = self.step / self.total
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = self._learning_rate(progress)
        self.method.train()
        shared: Translation | None = None
        if len(batches) == 1:
            with self.fabric.autocast():
                shared = self.method.translate(batches[0])
        terms: dict[str, Tensor] = {}
        for side in SIDES:
            for batch in batches:
                step = self._half_step(side, batch, shared, progress)
                (step.loss / len(batches)).backward()  # type: ignore[no-untyped-call]
                letter = side[0].upper()
                for name, value in {letter: step.loss.detach(), **step.terms}.items():
                    terms[name] = terms.get(name, 0.0) + value / len(batches)
            self._update(side)
        self.names = list(terms)
        stacked = torch.stack([value.float() for value in terms.values()])
        if self.world > 1:
            stacked = self._mean_over_processes(stacked)
        self.method.observe(dict(zip(self.names, stacked, strict=True)), self.images_per_step)
        if self.average is not None:
            self.average.update_parameters(self.generator)
        self.pending.append(stacked)

    def _half_step(self, side: str, batch: Batch, shared: Translation | None, progress: float) -> Step:
        with self.fabric.autocast():
            translation = shared
            if translation is None:
                # With accumulation, keeping every graph would undo the saving: translate again for each half.
                with torch.set_grad_enabled(side == "generator"):
                    translation = self.method.translate(batch)
            if side == "discriminator":
                return self.method.discriminator_step(batch, translation, progress)
            return self.method.generator_step(batch, translation, progress)

    def _update(self, side: str) -> None:
        parameters = [p for p in self.method.parameters_of(side) if p.grad is not None]
        if self.world > 1:
            self._average_gradients(parameters)
        if self.recipe.optim.clip is not None:
            nn.utils.clip_grad_norm_(parameters, self.recipe.optim.clip)
        self.optimizers[side].step()
        self.optimizers[side].zero_grad(set_to_none=True)

    def _average_gradients(self, parameters: list[nn.Parameter]) -> None:
        # Plain averaging in place of a DistributedDataParallel wrapper: several passes of one network in a step
        # and half of the networks frozen in turn are what such wrappers handle badly.
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = self._mean_over_processes(torch.cat([gradient.flatten() for gradient in gradients]))
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def _mean_over_processes(self, tensor: Tensor) -> Tensor:
        return cast(Tensor, self.fabric.all_reduce(tensor, reduce_op="mean"))

    def _learning_rate(self, progress: float) -> float:
        k = self.recipe.decay_start
        return self.recipe.optim.lr * (1.0 if progress < k else (1.0 - progress) / (1.0 - k))

    # --- data

    def _sampler(self, epoch: int, start_step: int = 0) -> EpochSampler:
        optim = self.recipe.optim
        return EpochSampler(
            len(self.dataset),
            optim.batch,
            self.recipe.seed,
            epoch,
            rank=self.fabric.global_rank,
            world=self.world,
            accumulate=optim.accumulate,
            start_step=start_step,
        )

    @contextlib.contextmanager
    def _batches(self) -> Iterator[Iterator[Batch]]:
        first, done = divmod(self.step, self.steps_per_epoch)
        last = self.total // self.steps_per_epoch
        samplers = [self._sampler(epoch, done if epoch == first else 0) for epoch in range(first, last)]
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

    def _fetch(self, batches: Iterator[Batch]) -> Batch:
        try:
            batch = next(batches)
        except RestainError as error:  # from a worker it comes wrapped in the worker's traceback
            raise RestainError(str(error).rpartition("RestainError: ")[2].strip()) from None
        return batch.to(self.fabric.device, self.recipe.engine.channels_last)

    # --- what is written down

    def _read_pending(self) -> dict[str, float]:
        """Mean of each term since the last call; stops the run where one of them is not finite."""
        values = torch.stack(self.pending).cpu()
        self.pending = []
        bad = (~values.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            step = self.step - len(values) + row + 1
            self._stop_nonfinite(f"loss term {self.names[column]} is {values[row, column].item()} at step {step}")
        row_values: dict[str, float] = {
            "epoch": self.step / self.steps_per_epoch,
            "progress": self.step / self.total,
            "lr": self.optimizers["generator"].param_groups[0]["lr"],
        }
        return row_values | dict(zip(self.names, values.double().mean(dim=0).tolist(), strict=True))

    def _write_samples(self) -> None:
        if self.previews is None:
            return
        generator = self._best_generator()
        generator.eval()
        with torch.no_grad(), self.fabric.autocast():
            fields = torch.split(self.previews.source.to(self.fabric.device), 1)
            virtual = torch.cat([generator(field) for field in fields])
        self.previews.write_grid(self.run.root / "samples" / f"step-{self.step:08d}.png", virtual)

    def _any_process_stops(self) -> bool:
        if self.world == 1:
            return self.stop_request.signal is not None
        flag = torch.tensor(float(self.stop_request.signal is not None), device=self.fabric.device)
        return bool(self._mean_over_processes(flag) > 0)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
