"""Checkpoints of a run, for an exact resume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from restain.errors import RestainError, in_short
from restain.files import write_aside
from restain.recipes.recipe import Recipe, differences

CHECKPOINTS_KEPT = 2
# What a resumed run may change; how a step is divided, too, as long as the images of a step are the same in number.
MAY_DIFFER = ("log.", "engine.workers", "optim.batch", "optim.accumulate")


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> Path:
    """Write ``state`` (tensors and plain values, with a ``step``) whole, then drop all but the last two."""
    path = folder / f"step-{state['step']:08d}.pt"
    for half_written in folder.glob(".step-*.pt"):  # by a process that was killed
        half_written.unlink()
    with write_aside(path) as temporary:
        torch.save(dict(state), temporary)
    for old in checkpoints(folder)[:-CHECKPOINTS_KEPT]:
        old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without unpickling code.

    Raises:
        RestainError: the file is not one that ``save_checkpoint`` wrote.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip, key and runtime errors for a foreign file
        raise RestainError(f"{path}: is not a readable checkpoint ({in_short(error)})") from error
    if not isinstance(state, dict) or "step" not in state:
        raise RestainError(f"{path}: holds no training state; expected a checkpoint of restain train")
    return state


def refuse_other_run(path: Path, state: Mapping[str, Any], identity: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse to resume from ``state`` with other data, another recipe or another number of images a step.

    Args:
        path: where the state was read from, for the message.
        state: a loaded checkpoint.
        identity: ``data`` (a fingerprint) and ``images_per_step`` as they are now.
        recipe: the recipe as it is now; fields in ``MAY_DIFFER`` may have changed.

    Raises:
        RestainError: naming every difference.
    """
    if state["data"] != identity["data"]:
        raise RestainError(
            f"{path}: was trained on other data than the folder holds now (fingerprint {state['data'][:12]}..., "
            f"found {identity['data'][:12]}...)"
        )
    try:
        changed = differences(Recipe.model_validate(state["recipe"]), recipe)
    except ValidationError as error:
        raise RestainError(f"{path}: was made by another version of restain ({error.error_count()} fields)") from None
    listed = [
        f"{field} was {old!r}, now {new!r}" for field, (old, new) in changed.items() if not field.startswith(MAY_DIFFER)
    ]
    if listed:
        raise RestainError(
            f"{path}: was made by another recipe ({', '.join(listed)}); resume with the recipe unchanged"
        )
    if state["images_per_step"] != identity["images_per_step"]:
        raise RestainError(
            f"{path}: was made with {state['images_per_step']} images a step over all processes, now "
            f"{identity['images_per_step']}; optim.batch x optim.accumulate x processes must stay the same"
        )
