"""What a method learns before the first step, once for each data set: trained here, and kept in the cache."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from restain.data.pairs import EpochSampler, collate
from restain.errors import RestainError, in_short
from restain.methods.base import Pretraining
from restain.progress import ProgressBar
from restain.tensor_files import write_tensors
from restain.types import Batch, mix_seed
from restain.weights.store import cache_folder

if TYPE_CHECKING:
    from restain.training.loop import Trainer

DONE, FAILED = range(2)  # what the first process tells the others


def pretrain(trainer: Trainer) -> None:
    """Learn what the method needs before its first step, or take it from the cache; nothing where it needs nothing.

    The first process learns, on the training images as the recipe draws them; the others take its weights.

    Raises:
        RestainError: a training image cannot be read, or a file of the cache is damaged.
    """
    task = trainer.method.pretrained
    if task is None:
        return
    problem: RestainError | None = None
    if trainer.is_first:
        try:
            _learn_or_load(trainer, task)
        except RestainError as error:  # from a worker it comes wrapped in the worker's traceback
            problem = RestainError(str(error).rpartition("RestainError: ")[2].strip())
    if trainer.processes.largest(DONE if problem is None else FAILED) == FAILED:
        raise problem or RestainError("pretraining failed on the first process; its message says why")
    trainer.processes.broadcast(task.network)


def cached_at(trainer: Trainer, task: Pretraining) -> Path:
    """Where the weights of a task lie, or would lie: by the data, how they are drawn, and the task's settings."""
    recipe = trainer.recipe
    key = {
        "data": trainer.manifest.fingerprint(),
        "drawn": recipe.data.model_dump(mode="json"),
        "batch": recipe.optim.batch,
        "seed": recipe.seed,
        "settings": dict(task.settings),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "pretrained" / f"{digest}.safetensors"


def _learn_or_load(trainer: Trainer, task: Pretraining) -> None:
    path = cached_at(trainer, task)
    if path.is_file():
        try:
            task.network.load_state_dict(load_file(path))
        except (SafetensorError, RuntimeError, OSError) as error:
            raise RestainError(f"{path}: is damaged ({in_short(error)}); delete this file of the cache") from error
        return
    with torch.random.fork_rng(devices=[]):  # data loaders draw from the generator that dropout draws from later
        _learn(trainer, task)
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in task.network.state_dict().items()}
    write_tensors(path, state, {"format": "pt"})


def _learn(trainer: Trainer, task: Pretraining) -> None:
    network = task.network.train().requires_grad_(True)
    adam = torch.optim.Adam(network.parameters(), task.lr)
    with ProgressBar("pretraining", task.steps, "steps", 0, quiet=False) as bar:
        for batch in itertools.islice(_batches(trainer), task.steps):
            loss = task.loss(batch.to(trainer.fabric.device))
            adam.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            bar.advance()
    network.eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.grad = None


def _batches(trainer: Trainer) -> Iterator[Batch]:
    """Training images in draws of their own, so that the run itself sees what it would see without this stage."""
    batch, seed = trainer.recipe.optim.batch, mix_seed(trainer.recipe.seed, "pretraining")
    workers = trainer.recipe.engine.workers
    for epoch in itertools.count():
        sampler = EpochSampler(len(trainer.dataset), batch, seed, epoch)
        yield from DataLoader(trainer.dataset, batch_sampler=sampler, collate_fn=collate, num_workers=workers)
