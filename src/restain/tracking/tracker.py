"""What every tracker offers to the training loop, and what it is told about the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Tracker(Protocol):
    """A place for the numbers and pictures of one run, open from a step on."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One row of numbers at a step; steps never decrease. Keys of validation begin with ``val/``."""

    def picture(self, step: int, name: str, path: Path) -> None:
        """A PNG (8-bit RGB) that the run has written, under the name of its series."""

    def close(self) -> None:
        """Write out what is buffered. While an exception passes, a server is told that the run failed."""


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """The run that is tracked.

    At step 0 a new run begins. At a later step the run continues: CSV and TensorBoard drop the rows after that step,
    Weights & Biases and MLflow resume the run whose id lies in the logs folder.
    """

    name: str
    config: Mapping[str, Any]  # the recipe as plain values, flat or nested
    folder: Path  # the run folder; everything is written below its logs/
    step: int  # the last step that is kept

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.folder / "logs"


class TrackerLost(Exception):
    """A tracker's server or service failed after it was open."""
