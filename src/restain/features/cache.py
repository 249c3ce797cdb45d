"""Features on disk, found again by the content of the image and everything that decides what a network says of it.

One small file per image and extractor: 8 kB for Inception, 15 kB for ResNet-50, under 1 kB for an LPIPS pair. Nothing
is ever removed by itself; ``restain weights list`` prints how much there is, and the folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.errors import RestainError, in_short
from restain.features.extractor import Features
from restain.files import write_aside
from restain.metrics.rows import Indices
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


def read_vector(path: Path) -> Floats:
    """A vector of the cache.

    Raises:
        RestainError: the file is damaged.
    """
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise RestainError(f"{path}: is damaged ({in_short(error)}); delete this file of the feature cache") from error


@dataclass(frozen=True)
class CachedRows:
    """Feature vectors of a set of images, read from disk when they are asked for."""

    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, indices: Indices) -> Floats:
        return np.stack([read_vector(self.paths[index]) for index in indices])
