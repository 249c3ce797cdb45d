"""One training tile: the H&E, the IHC resampled onto it, what is left between them, and whether it may be used."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from restain.alignment.fitting import Affine
from restain.alignment.local import LocalAlignment, align_locally
from restain.csv_text import read_table
from restain.errors import RestainError
from restain.files import write_text
from restain.images import RGB
from restain.registration.closeup import resample_affine, warped_region
from restain.registration.options import PairOptions
from restain.registration.quality import (
    Thickness,
    TileQuality,
    dab_area,
    haematoxylin_correlation,
    tile_quality,
)
from restain.registration.transform import Transform
from restain.wsi.geometry import Region
from restain.wsi.resample import read_region
from restain.wsi.slide import Slide

REASONS = ("glass", "one side only", "pen", "fold", "blur", "low confidence", "residual", "not chosen")
_HALF_WEIGHT_UM = 6.0  # residual at which a pair counts half
_FULL_CONFIDENCE = 0.6


@dataclass(frozen=True)
class TileRow:
    """One row of ``pairs.csv``; lengths in microns, shares 0 to 1.

    Attributes:
        name: of the tile, without suffix; unique.
        split: train, val or test.
        patient: what is never divided between splits.
        slide: name of the pair of slides.
        stain: of the IHC.
        x_um: left edge on the H&E slide; ``y_um`` its top.
        shift_um: length of the tile's own correction after the slide's transform.
        rotation_deg: angle of that correction, clockwise.
        residual_um: what is left after it.
        confidence: share of the blocks that agree.
        haematoxylin_r: correlation of the haematoxylin of both sides.
        tissue_he, tissue_ihc, pen, fold: shares of the area, the larger of both sides for pen and fold.
        blur_he, blur_ihc: blur effect, 0 sharp to 1.
        dab_area: fraction of pixels that are positive.
        weight: how much the pair should count in training; 0 where it is discarded.
        kept: whether it is in the data set.
        reason: why not.
    """

    name: str
    split: str
    patient: str
    slide: str
    stain: str
    x_um: float
    y_um: float
    shift_um: float
    rotation_deg: float
    residual_um: float
    confidence: float
    haematoxylin_r: float
    tissue_he: float
    tissue_ihc: float
    pen: float
    fold: float
    blur_he: float
    blur_ihc: float
    dab_area: float
    weight: float
    kept: bool
    reason: str


@dataclass(frozen=True)
class Cutting:
    """What all tiles of a pair of slides share."""

    he: Slide
    ihc: Slide
    transform: Transform
    thickness: tuple[Thickness, Thickness]
    options: PairOptions

    def cut(self, region: Region) -> tuple[RGB, RGB, LocalAlignment | None]:
        """H&E, IHC resampled once with the tile's own correction, and that correction."""
        mpp = self.options.mpp
        he = read_region(self.he, region, mpp)
        ihc = warped_region(self.ihc, self.transform, region, mpp)
        found = align_locally(he, ihc, search=False, warp=False)
        if found is None or not np.isfinite(found.residual):
            return he, ihc, found
        return he, resample_affine(self.ihc, self._total(region, found.motion), region, mpp), found

    def _total(self, region: Region, correction: Affine) -> Affine:
        """H&E to IHC microns: the slide's transform after the tile's own motion, which is in pixels of the tile."""
        mpp = self.options.mpp
        middle = np.array((region.x + region.width / 2, region.y + region.height / 2)) * mpp
        slide = self.transform.local(middle, max(region.width, region.height) * mpp / 2)
        corner = (np.array((region.x, region.y)) + 0.5) * mpp
        offset = correction.offset * mpp + corner - correction.matrix @ corner
        return slide.after(Affine(correction.matrix, offset))


def measure_tile(he: RGB, ihc: RGB, found: LocalAlignment | None, cutting: Cutting) -> tuple[dict[str, float], str]:
    """Everything that is measured of a tile, by column, and the first reason against it ("" where there is none)."""
    options = cutting.options
    sides = (
        tile_quality(he, options.mpp, "he", cutting.thickness[0]),
        tile_quality(ihc, options.mpp, "ihc", cutting.thickness[1]),
    )
    shift, angle, residual, confidence = local_motion(found, he.shape, options.mpp)
    values = {
        "shift_um": shift,
        "rotation_deg": angle,
        "residual_um": residual,
        "confidence": confidence,
        "haematoxylin_r": haematoxylin_correlation(he, ihc, options.mpp),
        "tissue_he": sides[0].tissue,
        "tissue_ihc": sides[1].tissue,
        "pen": max(side.pen for side in sides),
        "fold": max(side.fold for side in sides),
        "blur_he": sides[0].blur,
        "blur_ihc": sides[1].blur,
        "dab_area": dab_area(ihc),
    }
    reason = reason_against(sides, confidence, residual, options)
    values["weight"] = 0.0 if reason else pair_weight(confidence, residual)
    return values, reason


def reason_against(
    sides: tuple[TileQuality, TileQuality], confidence: float, residual: float, options: PairOptions
) -> str:
    """The first reason to discard a tile, or "" for a good one."""
    he, ihc = sides
    if max(he.tissue, ihc.tissue) < options.min_tissue:
        return "glass"
    if min(he.tissue, ihc.tissue) < 0.5 * max(he.tissue, ihc.tissue):
        return "one side only"
    if min(he.tissue, ihc.tissue) < options.min_tissue:
        return "glass"
    if max(he.pen, ihc.pen) > options.max_pen:
        return "pen"
    if max(he.fold, ihc.fold) > options.max_fold:
        return "fold"
    if max(he.blur, ihc.blur) > options.max_blur:
        return "blur"
    if confidence < options.min_confidence:
        return "low confidence"
    return "residual" if residual > options.max_residual else ""


def pair_weight(confidence: float, residual_um: float) -> float:
    """0 to 1: the share of agreeing blocks, 60 % being full, halved at a residual of 6 µm."""
    return min(1.0, confidence / _FULL_CONFIDENCE) / (1.0 + (residual_um / _HALF_WEIGHT_UM) ** 2)


def local_motion(found: LocalAlignment | None, shape: tuple[int, ...], mpp: float) -> tuple[float, float, float, float]:
    """Shift in microns at the middle, angle in degrees, residual in microns and confidence."""
    if found is None:
        return 0.0, 0.0, 999.0, 0.0
    middle = (np.array([[shape[1], shape[0]]]) - 1) / 2
    shift = float(np.hypot(*(found.motion.at(middle) - middle)[0])) * mpp
    angle = float(np.degrees(np.arctan2(found.motion.matrix[1, 0], found.motion.matrix[0, 0])))
    return shift, angle, min(found.residual * mpp, 999.0), found.confidence


def write_rows(path: Path, rows: Sequence[TileRow]) -> None:
    """Write ``pairs.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(TileRow)])
    for row in rows:
        values = asdict(row).values()
        writer.writerow([f"{v:.4f}" if isinstance(v, float) else int(v) if isinstance(v, bool) else v for v in values])
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[TileRow]:
    """Read what ``write_rows`` writes.

    Raises:
        RestainError: a column is missing or a value is no number.
    """
    kinds = {field.name: field.type for field in fields(TileRow)}
    rows = []
    for where, row in read_table(path, list(kinds)):
        try:
            values = {
                name: float(row[name]) if kind == "float" else row[name] == "1" if kind == "bool" else row[name]
                for name, kind in kinds.items()
            }
        except ValueError as error:
            raise RestainError(f"{where}: is not a row of pairs ({error})") from None
        rows.append(TileRow(**values))  # type: ignore[arg-type]
    return rows
