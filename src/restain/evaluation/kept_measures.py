"""Measures of a field kept on disk, so that a stopped evaluation goes on and a repeated one is quick.

A row is found again by all that decides it: the content of the images, the protocol, the pixel size, the names of
the measures and the source code that makes them. Rows lie beside the features of networks and may be deleted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import restain.metrics
from restain import colour, images, stains
from restain.files import write_text
from restain.metrics import Protocol
from restain.metrics.measures import ImageMeasure, Marker, Measure, PairMeasure
from restain.weights import cache_folder


class KeptMeasures:
    """The rows of one evaluation.

    Args:
        measures: that are taken.
        protocol: under which.
        mpp: microns per pixel, or None.
        marker: where the DAB lies, or None.
    """

    def __init__(
        self, measures: Sequence[Measure], protocol: Protocol, mpp: float | None, marker: Marker | None = None
    ) -> None:
        names = [measure.names for measure in measures if isinstance(measure, ImageMeasure | PairMeasure)]
        self._settings = json.dumps([_code(), asdict(protocol), mpp, marker, names], sort_keys=True)
        self._folder = cache_folder() / "measures"

    def path(self, *contents: str) -> Path:
        """Where the row of these images lies, or would lie.

        Args:
            contents: hashes of the real image, the virtual one and, where given, the H&E, and what else made them.
        """
        digest = hashlib.sha256("\n".join((self._settings, *contents)).encode()).hexdigest()
        return self._folder / digest[:2] / f"{digest[2:]}.json"

    def read(self, path: Path) -> dict[str, float] | None:
        """The row at that path; None where there is none, or it cannot be read, and it is measured again."""
        try:
            row = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(row, dict) or not all(isinstance(value, float) for value in row.values()):
            return None
        return row

    def write(self, path: Path, row: Mapping[str, float]) -> None:
        """Keep a row, whole or not at all; numbers come back to the last bit, NaN and infinity included."""
        write_text(path, json.dumps({name: float(value) for name, value in row.items()}))


@lru_cache
def _code() -> str:
    """SHA-256 of the source that makes measures: a row of another version is not taken."""
    package = Path(restain.metrics.__file__).parent
    files = [*package.rglob("*.py"), *(Path(str(module.__file__)) for module in (colour, images, stains))]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()
