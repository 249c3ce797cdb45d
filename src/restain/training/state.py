"""The state of a run in a checkpoint, and what must be unchanged when it is taken up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restain.errors import RestainError
from restain.recipes import Recipe, differences
from restain.recipes.recipe import MAY_DIFFER
from restain.training.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from restain.training.loop import Trainer

SCORE_FIELDS = ("validation.fields", "validation.crops", "validation.best")  # scores under others do not compare


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Everything that a run needs to go on exactly, as tensors and plain values."""
    # No random state: whatever is drawn is drawn from seeds that follow from the step.
    return {
        "step": trainer.step,
        "method": trainer.method.state_dict(),
        "optimizers": trainer.optimizers.state_dict(),
        "average": None if trainer.average is None else trainer.average.state_dict(),
        "recipe": trainer.recipe.to_flat(),
        "data": trainer.manifest.fingerprint(),
        "images_per_step": trainer.images_per_step,
        "best": asdict(trainer.best),
    }


def save_state(trainer: Trainer, folder: Path, name: str | None = None) -> None:
    """Save the state on the first process, in a file of its step or of the given name."""
    if trainer.is_first:
        save_checkpoint(folder, state_of(trainer), name)
    trainer.processes.barrier()  # a process that ends while the first one writes may get it killed


def load_state(trainer: Trainer, path: Path) -> None:
    """Take up a saved state.

    Raises:
        RestainError: the file is no checkpoint, or one of another run.
    """
    state = load_checkpoint(path)
    refuse_other_run(path, state, trainer.recipe, trainer.manifest.fingerprint(), trainer.images_per_step)
    if not differences(state["recipe"], trainer.recipe.to_flat()).keys() & set(SCORE_FIELDS):
        for name, value in state["best"].items():
            setattr(trainer.best, name, value)
    trainer.out_of_patience = trainer.best.exhausts(trainer.recipe.validation.patience)
    trainer.optimizers.load_state_dict(state["optimizers"])
    take_weights(trainer, state)


def take_weights(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Take up the step and the weights of a saved state."""
    trainer.step = state["step"]
    trainer.method.load_state_dict(state["method"])
    if trainer.average is not None:
        trainer.average.load_state_dict(state["average"])


def refuse_other_run(
    path: Path, state: Mapping[str, Any], recipe: Recipe, fingerprint: str, images_per_step: int
) -> None:
    """Refuse to resume with other data, another recipe or another number of images per step.

    Args:
        path: where the state was read from, for the message.
        state: a loaded checkpoint.
        recipe: the recipe as it is now; fields in ``MAY_DIFFER`` may have changed.
        fingerprint: of the data as they are now.
        images_per_step: over all processes, now.

    Raises:
        RestainError: naming every difference.
    """
    if "best" not in state:
        raise RestainError(f"{path}: was made by another version of restain; expected one of this version")
    if state["data"] != fingerprint:
        raise RestainError(
            f"{path}: was trained on other data than the folder holds now (fingerprint {state['data'][:12]}..., "
            f"found {fingerprint[:12]}...)"
        )
    changed = differences(state["recipe"], recipe.to_flat())
    listed = [
        f"{field} was {old!r}, now {new!r}" for field, (old, new) in changed.items() if not field.startswith(MAY_DIFFER)
    ]
    if listed:
        raise RestainError(
            f"{path}: was made by another recipe ({', '.join(listed)}); resume with the recipe unchanged"
        )
    if state["images_per_step"] != images_per_step:
        raise RestainError(
            f"{path}: was made with {state['images_per_step']} images per step over all processes, now "
            f"{images_per_step}; optim.batch x optim.accumulate x processes must stay the same"
        )
