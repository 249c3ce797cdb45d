"""Two ways that learn nothing: the H&E as it is, and a transfer of colour from IHC that is not evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restain.colour import LabStatistics, lab_statistics, pool_statistics
from restain.errors import RestainError
from restain.evaluation.inputs import TRANSFER, UNCHANGED
from restain.evaluation.workers import in_threads
from restain.files import sha256
from restain.images import list_images, read_rgb

NEEDS_SOURCE = "needs the H&E images; give their folder as source"
NEEDS_REFERENCE = "needs IHC images that are not evaluated, such as the training IHC; give their folder as reference"
_STRIDE = 4  # every 4th pixel of each row and column is plenty for means and deviations of colour


@dataclass(frozen=True)
class Reference:
    """Colours of the IHC images that are not evaluated, and what identifies their files."""

    colours: LabStatistics
    hashes: dict[str, str]  # relative path to the SHA-256 of the file


def read_reference(folder: Path) -> Reference:
    """Pool the colours of all images below a folder; RestainError where there is none."""
    paths = list_images(folder)
    if not paths:
        raise RestainError(f"reference folder {folder}: holds no image; expected IHC images")

    def read(path: Path) -> tuple[LabStatistics, tuple[str, str]]:
        statistics = lab_statistics([read_rgb(path)[::_STRIDE, ::_STRIDE]])
        return statistics, (path.relative_to(folder).as_posix(), sha256(path))

    parts, hashes = zip(*in_threads(read, paths, "reading reference colours"), strict=True)
    return Reference(pool_statistics(list(parts)), dict(hashes))


def missing_baselines(source: Path | None, reference: Path | None) -> dict[str, str]:
    """Why a baseline is not there, by its name."""
    if source is None:
        return {UNCHANGED: NEEDS_SOURCE, TRANSFER: NEEDS_SOURCE}
    return {} if reference else {TRANSFER: NEEDS_REFERENCE}
