"""Tensors come back exactly, and a disk that is full is a sentence."""

from pathlib import Path

import pytest
import torch
from full_disk import full_disk
from safetensors.torch import load_file

from restain.errors import RestainError
from restain.tensor_files import write_tensors


def test_a_full_disk_leaves_the_old_tensors_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": torch.arange(3.0)}, {"format": "pt"})
    with full_disk(1000), pytest.raises(RestainError, match=r"a\.safetensors: cannot be written \(File too large\)"):
        write_tensors(path, {"a": torch.zeros(1000)}, {"format": "pt"})
    assert list(tmp_path.iterdir()) == [path]
    assert torch.equal(load_file(path)["a"], torch.arange(3.0))
