"""TensorBoard event files in ``logs/tensorboard``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from restain.images import read_rgb
from restain.tracking.tracker import RunInfo


def open_tracker(info: RunInfo) -> TensorBoardTracker:
    """Open the folder at ``info.step``: TensorBoard hides what was logged after it."""
    return TensorBoardTracker(info)


class TensorBoardTracker:
    """Scalars and images."""

    def __init__(self, info: RunInfo) -> None:
        self._writer: Any = SummaryWriter(str(info.logs / "tensorboard"), purge_step=info.step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One scalar a key."""
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)

    def picture(self, step: int, name: str, path: Path) -> None:
        """An image of the series ``name``."""
        self._writer.add_image(name, read_rgb(path), step, dataformats="HWC")

    def close(self) -> None:
        """Flush the event file."""
        self._writer.close()
