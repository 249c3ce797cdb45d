"""What a data set holds and what is wrong with it, before a training run is spent on it."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restain.alignment.pictures import Alignment
from restain.data.checks import PairCheck, check_pair
from restain.data.faults import UNRELATED, find_errors, find_warnings
from restain.data.layouts import find_pairs
from restain.data.records import Manifest
from restain.files import write_json, write_text
from restain.progress import ProgressBar


@dataclass(frozen=True)
class Inspection:
    """The verdict on a data set."""

    manifest: Manifest
    target: str
    pairs: tuple[PairCheck, ...]
    errors: tuple[str, ...]  # why training cannot start
    warnings: tuple[str, ...]  # what would make its result wrong or weak

    @property
    def can_train(self) -> bool:
        """Whether paired or unpaired training could start on this data set."""
        return not self.errors

    def of(self, split: str) -> list[PairCheck]:
        """The checks of one split."""
        return [pair for pair in self.pairs if pair.record.split == split]


def inspect(
    root: str | Path,
    out: str | Path | None = None,
    target: str = "B",
    crop: int | None = None,
    workers: int | None = None,
) -> Inspection:
    """Decode every image of a data set once and look for what would spoil training or its evaluation.

    Args:
        root: folder or CSV manifest, see ``find_pairs``.
        out: where ``inspection.json`` and ``inspection.csv`` go; nothing is written without it.
        target: which IHC, see ``find_pairs``.
        crop: the training crop in pixels; smaller images are then an error.
        workers: threads; by default one per processor.

    Raises:
        RestainError: the layout is not recognised. Faults in the images are reported, not raised.
    """
    manifest = find_pairs(Path(root), target)
    workers = workers or os.cpu_count() or 1
    with (
        ThreadPoolExecutor(workers) as pool,
        ProgressBar("inspecting", len(manifest.records), "pairs") as bar,
    ):
        checks = []
        for check in pool.map(check_pair, manifest.records):
            checks.append(check)
            bar.advance()
    inspection = Inspection(
        manifest,
        target,
        tuple(checks),
        errors=tuple(find_errors(manifest, checks, crop)),
        warnings=tuple(find_warnings(manifest, checks)),
    )
    if out is not None:
        write_json(Path(out) / "inspection.json", summarise(inspection))
        write_text(Path(out) / "inspection.csv", _table(inspection))
    return inspection


def summarise(inspection: Inspection) -> dict[str, Any]:
    """The verdict as plain values, as ``inspection.json`` holds it. Lengths in pixels."""
    manifest = inspection.manifest
    return {
        "root": str(manifest.root),
        "layout": manifest.layout,
        "target": inspection.target,
        "fingerprint": manifest.fingerprint(),
        "can_train": inspection.can_train,
        "errors": list(inspection.errors),
        "warnings": list(inspection.warnings),
        "splits": {split: _summarise_split(inspection.of(split)) for split in manifest.splits()},
    }


def _summarise_split(checks: list[PairCheck]) -> dict[str, Any]:
    images = [image for check in checks for image in check.images()]
    sizes = Counter(f"{image.size[0]}x{image.size[1]}" for image in images if image.size)
    return {
        "pairs": sum(len(check.images()) == 2 for check in checks),
        "source_only": sum(check.source is not None and check.target is None for check in checks),
        "target_only": sum(check.source is None and check.target is not None for check in checks),
        "unreadable": sum(bool(image.error) for image in images),
        "groups": len({check.record.group for check in checks if check.record.group}),
        "sizes_height_x_width": dict(sizes.most_common()),
        "alignment": _summarise_alignment([check.alignment for check in checks if check.alignment]),
    }


def _summarise_alignment(found: list[Alignment]) -> dict[str, Any] | None:
    """Medians over the pairs whose estimate can be trusted."""
    if not found:
        return None
    trusted = [a for a in found if a.confidence >= UNRELATED]
    lengths = np.array([np.hypot(a.shift_y, a.shift_x) for a in trusted])
    return {
        "estimated": len(found),
        "trusted": len(trusted),
        "confidence_median": float(np.median([a.confidence for a in found])),
        "shift_px_median": float(np.median(lengths)) if trusted else None,
        "shift_px_p90": float(np.percentile(lengths, 90)) if trusted else None,
        "rotation_deg_median": float(np.median([abs(a.rotation) for a in trusted])) if trusted else None,
        "displacement_px_median": float(np.median([a.displacement for a in trusted])) if trusted else None,
    }


def _table(inspection: Inspection) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = "id split group source target height width shift_y_px shift_x_px rotation_deg displacement_px"
    writer.writerow([*columns.split(), "confidence", "error"])
    for check in inspection.pairs:
        record, a = check.record, check.alignment
        size = next((image.size for image in check.images() if image.size), ("", ""))
        motion = (a.shift_y, a.shift_x, a.rotation, a.displacement, a.confidence) if a else ()
        numbers = [f"{value:.3f}" for value in motion] or [""] * 5
        error = "; ".join(image.error for image in check.images() if image.error)
        paths = (record.source or "", record.target or "")
        writer.writerow([record.id, record.split, record.group or "", *paths, *size, *numbers, error])
    return text.getvalue()
