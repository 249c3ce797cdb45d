"""Checkpoints: kept, written whole, and refused where they are broken."""

from pathlib import Path

import pytest
import torch
from full_disk import full_disk

from restain.errors import RestainError
from restain.training.checkpoint import checkpoints, load_checkpoint, save_checkpoint


def test_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 10):
        save_checkpoint(tmp_path, {"step": step, "weights": torch.full((3,), float(step))})
    assert [path.name for path in checkpoints(tmp_path)] == ["step-00000003.pt", "step-00000010.pt"]
    assert torch.equal(load_checkpoint(checkpoints(tmp_path)[-1])["weights"], torch.full((3,), 10.0))


def test_a_failed_save_keeps_the_old_checkpoints(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, {"step": step})
    with full_disk(10_000), pytest.raises(RestainError, match="cannot be written"):
        save_checkpoint(tmp_path, {"step": 3, "weights": torch.zeros(10_000)})
    assert [load_checkpoint(path)["step"] for path in checkpoints(tmp_path)] == [1, 2]
    assert len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_process_left_half_written_is_swept_up(tmp_path: Path) -> None:
    (tmp_path / ".step-00000001-abc.pt").write_text("half")
    save_checkpoint(tmp_path, {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002.pt"]


def test_truncated_checkpoints_are_refused(tmp_path: Path) -> None:
    whole = save_checkpoint(tmp_path, {"step": 1, "weights": torch.rand(500)}).read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(RestainError, match=r"cut\.pt: is not a readable checkpoint"):
            load_checkpoint(tmp_path / "cut.pt")
    with pytest.raises(RestainError, match=r"gone\.pt"):
        load_checkpoint(tmp_path / "gone.pt")
