"""Checkpoint files: written whole, and read without running code."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from restain.errors import RestainError, in_short
from restain.files import write_aside

CHECKPOINTS_KEPT = 2


def save_checkpoint(folder: Path, state: Mapping[str, Any], name: str | None = None) -> Path:
    """Write ``state`` (tensors and plain values, with a ``step``) whole.

    Args:
        folder: of the checkpoints.
        state: what to keep.
        name: of the file without suffix; by default that of its step, of which all but the last two are dropped.
    """
    for half_written in folder.glob(".*.pt"):  # by a process that was killed
        half_written.unlink()
    path = folder / f"{name or 'step-' + format(state['step'], '08d')}.pt"
    content = BytesIO()
    torch.save(dict(state), content)
    with write_aside(path) as temporary:
        temporary.write_bytes(content.getbuffer())  # torch.save has an error of its own for a full disk
    if name is None:
        for old in checkpoints(folder)[:-CHECKPOINTS_KEPT]:
            old.unlink()
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Checkpoints of a run by their steps, oldest first."""
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
