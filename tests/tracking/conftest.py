"""A run to track, and a picture that it wrote."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from restain.images import write_png
from restain.tracking import RunInfo

CONFIG = {"name": "asp", "optim": {"lr": 2e-4, "betas": [0.5, 0.999], "ema": None}}


@pytest.fixture
def run_at(tmp_path: Path) -> Callable[[int], RunInfo]:
    """The same run, where logging continues at a step."""
    return lambda step: RunInfo(name="asp", config=CONFIG, folder=tmp_path / "run", step=step)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Red to the left, blue to the right."""
    pixels = np.zeros((4, 6, 3), dtype=np.uint8)
    pixels[:, :3, 0] = pixels[:, 3:, 2] = 255
    write_png(tmp_path / "sample.png", pixels)
    return tmp_path / "sample.png"
