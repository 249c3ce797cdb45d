"""Tensors into safetensors files, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from restain.files import write_aside


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write contiguous tensors of the CPU whole or not at all.

    Raises:
        RestainError: the disk is full, or ``path`` cannot be written.
    """
    content = save(dict(tensors), dict(metadata))
    with write_aside(path) as temporary:
        temporary.write_bytes(content)  # save_file has an error of its own for a full disk
