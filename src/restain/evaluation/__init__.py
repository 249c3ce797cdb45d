"""Folders of real and virtual stains in, one tidy set of figures out, beside two yardsticks that learn nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.colour import LabStatistics, lab_statistics, pool_statistics, transfer_colour
from restain.errors import RestainError
from restain.evaluation.matching import Match, format_size, match_images
from restain.evaluation.outcome import (
    NEEDS_REFERENCE,
    NEEDS_SOURCE,
    TRANSFER,
    UNCHANGED,
    VIRTUAL,
    Column,
    Evaluation,
    System,
    judge,
    summarise,
)
from restain.evaluation.output import print_evaluation, write_evaluation
from restain.files import sha256
from restain.images import list_images, read_rgb
from restain.metrics import Protocol, find_protocol
from restain.metrics.measurement import measure_pair
from restain.progress import ProgressBar

__all__ = ["Evaluation", "System", "evaluate", "print_evaluation"]

_REFERENCE_STRIDE = 4  # every 4th pixel of each row and column is plenty for means and deviations of colour


def evaluate(
    real: str | Path,
    fake: str | Path,
    out: str | Path,
    source: str | Path | None = None,
    reference: str | Path | None = None,
    protocol: str = "clean",
    seed: int = 0,
) -> Evaluation:
    """Judge virtual stains against real ones, image by image and over the set.

    Images are matched strictly by relative path without suffix. Written to ``out``, each file whole or not at all:
    ``per_image.csv``, ``per_image_yardsticks.csv`` (with ``source``) and ``summary.json``; docs/evaluation.md
    describes them.

    Args:
        real: folder of real IHC images, 8-bit RGB.
        fake: folder of virtual IHC images.
        out: folder for the results; made where it does not exist.
        source: folder of the H&E images; needed for R_content and for the yardsticks.
        reference: folder of IHC images that are not judged, such as the training IHC, whose colours the
            colour-transfer yardstick takes.
        protocol: "clean" or "asp2023"; see ``restain.metrics.PROTOCOLS``.
        seed: of the bootstrap intervals.

    Raises:
        RestainError: a folder, a file, a missing partner, a size or the protocol is wrong.
    """
    real, fake, out = Path(real), Path(fake), Path(out)
    source, reference = (Path(folder) if folder else None for folder in (source, reference))
    chosen = find_protocol(protocol)
    if seed < 0:
        raise RestainError(f"seed: is {seed}; expected 0 or more")
    if out.exists() and not out.is_dir():
        raise RestainError(f"{out}: is a file; expected a folder for the results")
    folders = {"real": real, "fake": fake, "source": source, "reference": reference}
    matched = {role: folder for role, folder in folders.items() if folder and role != "reference"}
    matches = match_images(matched, smallest=chosen.window.size)
    colours, reference_hashes = _read_reference(reference) if source and reference else (None, [])

    measured = _measure_all(matches, chosen, colours)
    names = list(measured[0].rows)
    tables = {name: _columns([one.rows[name] for one in measured]) for name in names}
    virtual, *yardsticks = (judge(name, table, seed) for name, table in tables.items())
    hashes = [line for one in measured for line in one.hashes] + reference_hashes
    summary = summarise(virtual, yardsticks, chosen, seed) | {
        "n": len(matches),
        "resolution": _resolution(matches),
        "files_sha256": hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest(),
        "folders": {role: str(folder.resolve()) if folder else None for role, folder in folders.items()},
    }
    summary["not_computed"] |= _missing_yardsticks(source, reference)
    evaluation = Evaluation(out, tuple(match.id for match in matches), virtual, tuple(yardsticks), summary)
    write_evaluation(evaluation)
    return evaluation


@dataclass(frozen=True)
class _Measured:
    rows: Mapping[str, dict[str, float]]  # by system
    hashes: Sequence[str]  # one line per file: role, name, content


def _measure_all(matches: Sequence[Match], protocol: Protocol, colours: LabStatistics | None) -> list[_Measured]:
    # Threads, not processes: decoding and the filters release the interpreter lock, and a caller's script needs
    # no __main__ guard. Each image is measured alone, so the number of workers cannot move a figure.
    measured = []
    with (
        ProgressBar("evaluating", total=len(matches), unit="images") as bar,
        ThreadPoolExecutor(_workers()) as pool,
    ):
        for one in pool.map(lambda match: _measure(match, protocol, colours), matches):
            measured.append(one)
            bar.advance()
    return measured


def _workers() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _measure(match: Match, protocol: Protocol, colours: LabStatistics | None) -> _Measured:
    images = {role: read_rgb(path) for role, path in match.files.items()}
    real, source = images["real"], images.get("source")
    systems = {VIRTUAL: images["fake"]}
    if source is not None:
        systems[UNCHANGED] = source
        if colours is not None:
            systems[TRANSFER] = transfer_colour(source, colours)
    rows = {name: measure_pair(real, image, protocol, source) for name, image in systems.items()}
    hashes = [f"{role} {match.id} {sha256(path)}" for role, path in match.files.items()]
    return _Measured(rows, hashes)


def _read_reference(folder: Path) -> tuple[LabStatistics, list[str]]:
    paths = list_images(folder)
    if not paths:
        raise RestainError(f"reference folder {folder}: holds no image; expected IHC images")
    parts, hashes = [], []
    with (
        ProgressBar("reading reference colours", total=len(paths), unit="images") as bar,
        ThreadPoolExecutor(_workers()) as pool,
    ):
        for path, part in zip(paths, pool.map(_reference_part, paths), strict=True):
            parts.append(part)
            hashes.append(f"reference {path.relative_to(folder).as_posix()} {sha256(path)}")
            bar.advance()
    return pool_statistics(parts), hashes


def _reference_part(path: Path) -> LabStatistics:
    return lab_statistics([read_rgb(path)[::_REFERENCE_STRIDE, ::_REFERENCE_STRIDE]])


def _columns(rows: Sequence[dict[str, float]]) -> dict[str, Column]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _resolution(matches: Sequence[Match]) -> str:
    sizes = sorted({match.size for match in matches}, key=lambda size: (size[0] * size[1], size))
    first, last = format_size(sizes[0]), format_size(sizes[-1])
    return first if len(sizes) == 1 else f"mixed ({first} to {last})"


def _missing_yardsticks(source: Path | None, reference: Path | None) -> dict[str, str]:
    if source is None:
        return {UNCHANGED: NEEDS_SOURCE, TRANSFER: NEEDS_SOURCE}
    return {} if reference else {TRANSFER: NEEDS_REFERENCE}
