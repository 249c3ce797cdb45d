"""``restain pairs --refine``: pairs as they were given, aligned anew, with a weight or a reason for each."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from restain.alignment.local import align_locally
from restain.data.layouts import find_pairs
from restain.data.records import Record
from restain.errors import RestainError
from restain.files import write_aside
from restain.images import RGB, write_png
from restain.progress import ProgressBar
from restain.registration.cutting import write_thumbnail
from restain.registration.options import PairOptions
from restain.registration.quality import Thickness, dab_area, haematoxylin_correlation, tile_quality
from restain.registration.tiles import TileRow, local_motion, pair_weight, read_rows, reason_against, write_rows

_ALL_THICK = Thickness(float("inf"))  # without the slide nobody knows how thick its tissue usually is
_LEAST_COVERED = 0.7  # of the H&E by the moved IHC
_CHUNK = 64  # pairs between two notes of what is done
_SHOWN = 48  # pairs on the page


def list_pairs(root: Path, target: str) -> list[Record]:
    """All pairs of a data set, split by split.

    Args:
        root: data set in a known layout.
        target: which IHC.

    Raises:
        RestainError: no known layout, or no pair in it.
    """
    manifest = find_pairs(root, target)
    records = [record for split in manifest.splits() for record in manifest.pairs(split)]
    if not records:
        raise RestainError(f"{root}: holds no H&E and IHC of the same name; expected at least one pair")
    return records


def refine_pairs(
    records: Sequence[Record], out: Path, target: str, options: PairOptions, workers: int
) -> list[TileRow]:
    """Align each pair of a data set and write those that are good enough; the data set is left as it is.

    The H&E is copied byte for byte where it is a file of its own; the IHC is resampled once onto it, mirrored at the
    edges where it does not reach.

    Args:
        records: pairs of the data set, at least one.
        out: folder of the new one.
        target: which IHC.
        options: ``mpp`` and the thresholds.
        workers: threads.
    """
    rows = _already_done(out)
    shown = {records[int(i)].id for i in np.linspace(0, len(records) - 1, min(_SHOWN, len(records)))}
    left = [record for record in records if (record.split, record.id) not in {(row.split, row.name) for row in rows}]
    with (
        ThreadPoolExecutor(workers) as pool,
        ProgressBar("refining", total=len(records), unit="pairs", done=len(rows)) as bar,
    ):
        for start in range(0, len(left), _CHUNK):
            chunk = left[start : start + _CHUNK]
            for row in pool.map(lambda record: _refine_one(record, out, target, options, record.id in shown), chunk):
                rows.append(row)
                bar.advance()
            write_rows(out / "refined.csv", rows)
    order = {(record.split, record.id): place for place, record in enumerate(records)}
    return sorted(rows, key=lambda row: order[row.split, row.name])


def _already_done(out: Path) -> list[TileRow]:
    path = out / "refined.csv"
    return read_rows(path) if path.exists() else []


def _refine_one(record: Record, out: Path, target: str, options: PairOptions, shown: bool) -> TileRow:
    """One pair; a file that cannot be read becomes a discarded row."""
    assert record.source is not None
    assert record.target is not None
    row = TileRow(
        record.id, record.split, record.group or "", record.group or "", target,
        0.0, 0.0, 0.0, 0.0, 999.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, kept=False, reason="",
    )  # fmt: skip
    try:
        he, ihc = record.source.read(), record.target.read()
    except RestainError as error:
        return replace(row, reason=f"unreadable: {error}")
    if he.shape != ihc.shape:
        return replace(row, reason="sizes differ")
    found = align_locally(he, ihc)
    moved, covered = (ihc, 1.0) if found is None or not np.isfinite(found.residual) else found.warp(ihc)
    row, reason = _measured(row, he, moved, covered, options, *local_motion(found, he.shape, options.mpp))
    row = replace(row, kept=not reason, reason=reason)
    if row.kept:
        _copy_source(record, he, out / f"{record.split}A")
        write_png(out / f"{record.split}B" / f"{record.id}.png", moved)
    if shown:
        write_thumbnail(out / "thumbnails" / f"{record.split}_{record.id}.jpg", he, moved)
    return row


def _measured(
    row: TileRow, he: RGB, ihc: RGB, covered: float, options: PairOptions,
    shift: float, angle: float, residual: float, confidence: float,
) -> tuple[TileRow, str]:  # fmt: skip
    sides = tile_quality(he, options.mpp, "he", _ALL_THICK), tile_quality(ihc, options.mpp, "ihc", _ALL_THICK)
    reason = reason_against(sides, confidence, residual, options)
    if not reason and covered < _LEAST_COVERED:
        reason = "one side only"
    row = replace(
        row,
        shift_um=shift,
        rotation_deg=angle,
        residual_um=residual,
        confidence=confidence,
        haematoxylin_r=haematoxylin_correlation(he, ihc, options.mpp),
        tissue_he=sides[0].tissue,
        tissue_ihc=sides[1].tissue,
        pen=max(side.pen for side in sides),
        blur_he=sides[0].blur,
        blur_ihc=sides[1].blur,
        dab_area=dab_area(ihc),
        weight=0.0 if reason else pair_weight(confidence, residual),
    )
    return row, reason


def _copy_source(record: Record, he: RGB, folder: Path) -> None:
    """The H&E as it is; a half of a side-by-side picture becomes a file of its own."""
    assert record.source is not None
    if record.source.half != "whole":
        write_png(folder / f"{record.id}.png", he)
        return
    with write_aside(folder / f"{record.id}{record.source.path.suffix}") as temporary:
        shutil.copyfile(record.source.path, temporary)
