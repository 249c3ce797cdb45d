"""``restain extract``: the stainer of a checkpoint, such as the last one of a run that was stopped."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from restain.data.layouts import find_pairs
from restain.errors import RestainError
from restain.files import read_json
from restain.recipes import load_recipe
from restain.run_folder import DataUsed, RunFolder
from restain.training.checkpoint import checkpoints, load_checkpoint
from restain.training.distributed import Machine, launch
from restain.training.loop import Trainer
from restain.training.session import write_stainer
from restain.training.state import refuse_other_run, take_weights


def extract(
    run: str | Path,
    out: str | Path,
    *,
    checkpoint: str | Path | None = None,
    data: str | Path | None = None,
    device: str = "auto",
) -> Path:
    """Write the stainer of a checkpoint, with the statistics of its norms on crops of the training H&E.

    Args:
        run: a run folder, finished or not.
        out: the stainer folder to write; new or empty.
        checkpoint: a file of the run's ``checkpoints``; the last one by default.
        data: the training data, where they were moved since; by default where the run found them.
        device: where to compute.

    Returns:
        the path of the stainer folder.

    Raises:
        RestainError: no run, no checkpoint of it, other data than those of the training, or files in ``out``.
    """
    folder, target = RunFolder(Path(run)), Path(out)
    if not folder.recipe.is_file() or not folder.data.is_file():
        raise RestainError(f"{folder.root}: is not a run folder; expected recipe.yaml and data.json in it")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RestainError(f"{target}: holds files; expected a new or an empty folder for the stainer")
    saved = checkpoints(folder.checkpoints)
    if checkpoint is None and not saved:
        raise RestainError(f"{folder.checkpoints}: holds no checkpoint; expected at least one step-*.pt")
    path = saved[-1] if checkpoint is None else Path(checkpoint)
    state = load_checkpoint(path)
    recipe = load_recipe(folder.recipe)
    manifest = find_pairs(Path(data) if data is not None else Path(_data_used(folder).root), recipe.data.target)
    images_per_step = state.get("images_per_step", 0)  # over all processes of the training
    refuse_other_run(path, state, recipe, manifest.fingerprint(), images_per_step)
    trainer = Trainer(launch(recipe, Machine(device=device)), recipe, manifest)
    trainer.images_per_step = images_per_step
    take_weights(trainer, state)
    write_stainer(trainer, target)
    return target


def _data_used(folder: RunFolder) -> DataUsed:
    try:
        return DataUsed.model_validate(read_json(folder.data))
    except ValidationError:
        raise RestainError(f"{folder.data}: does not describe the data of a run; expected what restain wrote") from None
