"""Features on disk, found again by the content of the image and everything that decides what a network says of it.

One small file per image and extractor: 8 kB for Inception, 15 kB for ResNet-50, under 1 kB for an LPIPS pair. Nothing
is ever removed by itself; ``restain weights list`` prints how much there is, and the folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.errors import RestainError, in_short
from restain.files import write_aside
from restain.metrics.learned.extractor import Features
from restain.metrics.learned.vectors import Rows
from restain.stains import Floats


@dataclass(frozen=True)
class FeatureCache:
    """A folder of vectors; ``key`` names everything that a vector depends on."""

    folder: Path

    def path(self, key: Sequence[str]) -> Path:
        """Where the vector of that key lies, or would lie."""
        digest = hashlib.sha256("\n".join(key).encode()).hexdigest()
        return self.folder / digest[:2] / f"{digest[2:]}.npy"

    def write(self, path: Path, vector: Features) -> None:
        """Keep a vector (d,), whole or not at all."""
        with write_aside(path) as temporary:
            np.save(temporary, vector)


def gather(paths: Sequence[Path]) -> Rows:
    """The vectors of a set of images as one table (n, d) on disk: each is read once, and memory holds none of them.

    The table is a nameless temporary file of 8 kB an image for Inception; it goes when the last reference to it does.

    Raises:
        RestainError: a file of the cache is damaged.
    """
    if not paths:
        return np.empty((0, 0), dtype=np.float32)
    with tempfile.TemporaryFile() as file:
        for path in paths:
            _read_vector(path).astype(np.float32).tofile(file)
        return np.memmap(file, dtype=np.float32, mode="r").reshape(len(paths), -1)


def _read_vector(path: Path) -> Floats:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise RestainError(f"{path}: is damaged ({in_short(error)}); delete this file of the feature cache") from error
