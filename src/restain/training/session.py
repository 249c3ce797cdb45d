"""``restain train``: from a data set and a recipe to a run folder with a stainer in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from restain.calibration import calibrated
from restain.data.faults import some
from restain.data.layouts import find_pairs
from restain.data.records import Manifest
from restain.errors import RestainError
from restain.files import write_json, write_text
from restain.progress import console
from restain.recipes import Recipe, load_recipe
from restain.run_folder import DataUsed, RunFolder
from restain.stainer import StainerCard
from restain.stainer_config import read_config
from restain.stainer_files import CONFIG, save_stainer
from restain.tracking import RunInfo, Tracker, check_trackers, open_trackers
from restain.training.checkpoint import checkpoints
from restain.training.distributed import Machine, Processes, launch
from restain.training.hooks import Checkpoints, Hook, LogLine, Samples
from restain.training.interruptions import out_of_memory_explained
from restain.training.loop import Trainer
from restain.training.outline import device_name, outline_of
from restain.training.pretraining import pretrain
from restain.training.previews import find_previews
from restain.training.state import load_state
from restain.training.validation import Validation, held_out

DEFAULT_RECIPE = "asp-dgrank"


def train(
    data: str | Path,
    out: str | Path,
    recipe: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    resume: bool = False,
    machine: Machine = Machine(),  # noqa: B008 - frozen
) -> Path:
    """Learn a stain from a folder of images and leave a run folder with a stainer in it.

    Args:
        data: a folder in one of the known layouts (see ``restain.inspect``), or a CSV manifest.
        out: the run folder; must be empty or new unless ``resume``.
        recipe: name of a shipped recipe or path of a YAML file. By default a resumed run takes its own, and a new one
            asp-dgrank.
        overrides: ``section.field=value`` changes to the recipe.
        resume: continue from the last checkpoint in ``out``, if there is one.
        machine: device and number of processes.

    Returns:
        the path of the stainer folder.

    Raises:
        RestainError: bad recipe, data or folder; a loss that is not finite; too little memory; or the run was
            stopped, after its state was saved.
    """
    trainer, run = open_trainer(data, out, recipe, overrides=overrides, resume=resume, machine=machine)
    with out_of_memory_explained(trainer.recipe), _locked(run, trainer.processes):
        _prepare(trainer, run)
        _fit(trainer, run)
        if trainer.is_first:
            _finish(trainer, run)
    trainer.processes.leave()
    return run.stainer


def open_trainer(
    data: str | Path,
    out: str | Path,
    recipe: str | Path | None,
    *,
    overrides: Sequence[str],
    resume: bool,
    machine: Machine,
) -> tuple[Trainer, RunFolder]:
    """Check everything that ``train`` is given, start its processes and build its networks; nothing is written."""
    run = RunFolder(Path(out))
    if recipe is None:
        recipe = run.recipe if resume and run.recipe.is_file() else DEFAULT_RECIPE
    settings = load_recipe(recipe, overrides)
    check_trackers(settings.log.trackers)
    _refuse_foreign_folder(run, resume)
    manifest = find_pairs(Path(data), settings.data.target)
    fabric = launch(settings, machine)
    with out_of_memory_explained(settings):
        return Trainer(fabric, settings, manifest), run


def _refuse_foreign_folder(run: RunFolder, resume: bool) -> None:
    if checkpoints(run.checkpoints) and not resume:
        raise RestainError(f"{run.root}: already holds a run; give --resume to continue it, or another --out")
    if run.root.exists() and not run.root.is_dir():
        raise RestainError(f"{run.root}: is a file; expected a folder for the run")
    if run.root.is_dir() and not run.recipe.exists() and any(not _hidden(path) for path in run.root.iterdir()):
        raise RestainError(f"{run.root}: contains files that are not a run; expected a new or an empty folder")


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


@contextlib.contextmanager
def _locked(run: RunFolder, processes: Processes) -> Iterator[None]:
    """Keep a second training out of the run folder."""
    path = run.root / ".lock"
    lock, taken = FileLock(path, timeout=0), 0
    if processes.rank == 0:
        run.root.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            taken = 1
    if processes.largest(taken):
        raise RestainError(f"{run.root}: another process is training in this folder; wait for it or stop it")
    try:
        yield
    finally:
        if lock.is_locked:
            path.unlink(missing_ok=True)
            lock.release()


def _prepare(trainer: Trainer, run: RunFolder) -> None:
    """Take up the last checkpoint, or learn what comes before the first step; write down what the run is."""
    saved = checkpoints(run.checkpoints)
    if saved:
        load_state(trainer, saved[-1])
    if trainer.is_first and not trainer.finished:
        for line in outline_of(trainer, run).lines():
            console.print(line, soft_wrap=True)
    if not saved:
        pretrain(trainer)
    trainer.processes.barrier()
    if not trainer.is_first or trainer.finished:
        return
    if trainer.recipe.data.paired and (alone := trainer.manifest.alone("train")):
        names = some(record.id for record in alone)
        console.print(f"note: {len(alone)} training images have no partner and are left out: {names}", soft_wrap=True)
    if trainer.recipe.data.paired and (light := trainer.manifest.lighter("train", trainer.recipe.data.min_weight)):
        names = some(record.id for record in light)
        console.print(f"note: {len(light)} training pairs weigh too little and are left out: {names}", soft_wrap=True)
    write_text(run.recipe, trainer.recipe.to_yaml())
    run.add_session(
        first_step=trainer.step,
        device=device_name(trainer.fabric.device),
        processes=trainer.processes.count,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
    )
    write_json(run.data, _data_used(trainer.manifest, trainer.recipe).model_dump(mode="json"))


def _data_used(manifest: Manifest, recipe: Recipe) -> DataUsed:
    return DataUsed(
        root=str(manifest.root.resolve()),
        layout=manifest.layout,
        target=recipe.data.target,
        splits={split: len(manifest.pairs(split)) for split in manifest.splits()},
        fingerprint=manifest.fingerprint(),
    )


def _fit(trainer: Trainer, run: RunFolder) -> None:
    if trainer.finished:
        return
    recipe = trainer.recipe
    records = held_out(trainer.manifest)
    if recipe.validation.patience is not None and not records:
        raise RestainError(
            f"field validation.patience is {recipe.validation.patience}, but {trainer.manifest.root} has no pairs in a "
            "val or test split to validate on"
        )
    with _tracker(trainer, run) as tracker:
        log = LogLine(recipe.log.every, tracker, run)
        hooks: list[Hook] = []
        if previews := find_previews(trainer.manifest):
            hooks.append(Samples(recipe.log.samples, previews, run, tracker))
        if records:
            hooks.append(Validation(recipe.validation, records, run, tracker))
        hooks.append(Checkpoints(recipe.log.checkpoint, run))
        trainer.fit(log, hooks, f"train {recipe.name}")


@contextlib.contextmanager
def _tracker(trainer: Trainer, run: RunFolder) -> Iterator[Tracker | None]:
    if not trainer.is_first:
        yield None
        return
    recipe = trainer.recipe
    info = RunInfo(name=recipe.name, config=recipe.to_flat(), folder=run.root, step=trainer.step)
    with contextlib.closing(open_trackers(recipe.log.trackers, info)) as tracker:
        yield tracker


def _finish(trainer: Trainer, run: RunFolder) -> None:
    """Write the stainer first: what is only looked at must not keep it from being written.

    A stainer of this step that an earlier session wrote is left alone, since it may have been calibrated since.
    """
    if not _is_there(run.stainer, trainer.step):
        write_stainer(trainer, run.stainer)
    if previews := find_previews(trainer.manifest):
        maps = trainer.method.pictures(previews.as_batch(trainer.fabric.device))
        previews.write_maps(run.root / "attention", maps)
    best = run.checkpoints / "best.pt"
    if best.exists() and trainer.best.step != trainer.step and not _is_there(run.best_stainer, trainer.best.step):
        load_state(trainer, best)
        write_stainer(trainer, run.best_stainer)


def _is_there(folder: Path, step: int) -> bool:
    """Whether the stainer of a step has been written."""
    return (folder / CONFIG).is_file() and read_config(folder / CONFIG).trained.get("steps") == step


def write_stainer(trainer: Trainer, folder: Path) -> None:
    """The stainer of the present state, with the statistics of its norms on training crops."""
    manifest = trainer.manifest
    generator, found = calibrated(
        trainer.stainer().eval(),
        trainer.crops(),
        batch=trainer.recipe.optim.batch,
        data=manifest.root.resolve().name,
        fingerprint=manifest.fingerprint(),
    )
    save_stainer(folder, generator, _card(trainer), found)


def _card(trainer: Trainer) -> StainerCard:
    recipe = trainer.recipe
    trained: dict[str, Any] = {
        "steps": trainer.step,
        "stopped_by_validation": trainer.out_of_patience,
        "epochs": trainer.step * trainer.images_per_step / len(trainer.dataset),
        "images_per_step": trainer.images_per_step,
        "batch": recipe.optim.batch,  # that a batch norm met together
        "training_images": len(trainer.dataset),
        "data_fingerprint": trainer.manifest.fingerprint(),
        "seed": recipe.seed,
        "device": device_name(trainer.fabric.device),
        "precision": recipe.engine.precision,
        "moving_average": recipe.optim.ema,
    }
    return StainerCard(
        stain=recipe.data.stain, mpp=recipe.data.mpp, tile_size=recipe.data.crop, recipe=recipe.name, trained=trained
    )
