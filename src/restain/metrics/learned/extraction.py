"""From image files to features on disk: every image is read and looked at once, however often it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from restain.errors import RestainError
from restain.files import sha256
from restain.images import read_rgb
from restain.metrics.learned.cache import FeatureCache, gather
from restain.metrics.learned.extractor import FeatureExtractor, PerceptualDistance
from restain.metrics.learned.vectors import Rows
from restain.progress import ProgressBar
from restain.stains import Floats

T = TypeVar("T")


class Extraction:
    """Extracts features through a cache.

    Args:
        cache: where features are kept.
        batch: images per pass of an extractor that resizes; the others take one image at a time, since one of full
            size fills a device by itself and a set may hold several sizes.
    """

    def __init__(self, cache: FeatureCache, batch: int) -> None:
        self._cache, self._batch = cache, batch
        self._hashes: dict[Path, str] = {}

    def features(self, extractor: FeatureExtractor, paths: Sequence[Path], title: str) -> Rows:
        """The feature vectors of image files, in their order.

        Raises:
            RestainError: a file is not an 8-bit RGB image.
        """
        places = [self._cache.path((*extractor.key, self._hash(path))) for path in paths]
        absent = {place: path for place, path in zip(places, paths, strict=True) if not place.is_file()}
        with ProgressBar(title, total=len(absent), unit="images") as bar:
            for group in _groups(list(absent.items()), self._batch if extractor.resizes else 1):
                for (place, _), vector in zip(group, extractor([read_rgb(path) for _, path in group]), strict=True):
                    self._cache.write(place, vector)
                bar.advance(len(group))
        return gather(places)

    def distances(self, distance: PerceptualDistance, real: Sequence[Path], fake: Sequence[Path], title: str) -> Floats:
        """LPIPS of each pair of image files, float64 (n,); NaN where a pair is too small for the network.

        Raises:
            RestainError: a file is not an 8-bit RGB image, or the two of a pair differ in size.
        """
        pairs = list(zip(real, fake, strict=True))
        places = [self._cache.path((*distance.key, self._hash(one), self._hash(other))) for one, other in pairs]
        absent = {place: pair for place, pair in zip(places, pairs, strict=True) if not place.is_file()}
        with ProgressBar(title, total=len(absent), unit="pairs") as bar:
            for place, pair in absent.items():
                self._cache.write(place, np.array([distance(*_read_pair(*pair))], dtype=np.float32))
                bar.advance()
        return np.asarray(gather(places)[np.arange(len(places))], dtype=np.float64).reshape(-1)

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = sha256(path)
        return self._hashes[path]


def _read_pair(real: Path, fake: Path) -> tuple[np.ndarray, np.ndarray]:
    images = read_rgb(real), read_rgb(fake)
    if images[0].shape != images[1].shape:
        raise RestainError(f"{fake}: has shape {images[1].shape}; expected that of {real}, {images[0].shape}")
    return images


def _groups(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
