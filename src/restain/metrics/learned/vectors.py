"""Feature vectors of a set of images, read a few at a time so that memory does not grow with the set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.stains import Floats

Indices: TypeAlias = npt.NDArray[np.int64]
PHOTOGRAPHS = "the network was trained on photographs, not on tissue"  # a weakness of every metric made of features
BLOCK = 512  # rows in memory at a time: 8 MB of 2048 doubles


class Rows(Protocol):
    """n feature vectors of d numbers: a numpy array (n, d), or files on disk that look like one."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Indices, /) -> Floats:
        """The vectors with these numbers, (k, d)."""
        ...


def blocks(rows: Rows, indices: Indices | None = None, size: int = BLOCK) -> Iterator[Floats]:
    """The rows (or those of ``indices``, in that order) as float64 arrays of at most ``size`` rows."""
    chosen = np.arange(len(rows)) if indices is None else indices
    for start in range(0, len(chosen), size):
        yield np.asarray(rows[chosen[start : start + size]], dtype=np.float64)
