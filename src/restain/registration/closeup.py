"""Blocks of two slides at a fine resolution, read one by one, so that memory does not grow with the slides."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from scipy.ndimage import affine_transform

from restain.alignment.blocks import is_glass, match_blocks
from restain.alignment.fitting import Affine, agreeing
from restain.images import RGB
from restain.registration.overview import Overview, Side, band_passed, content
from restain.registration.search import Blocks
from restain.registration.transform import Transform
from restain.stains import Floats
from restain.wsi.geometry import Region
from restain.wsi.resample import read_region
from restain.wsi.slide import Slide

_MARGIN = 20  # pixels around a block for its band-pass
_LEAST_MARGIN = 0.04


@dataclass(frozen=True)
class Scale:
    """A resolution to match at.

    Attributes:
        mpp: microns per pixel.
        block: side in pixels.
        radius: largest shift looked for, pixels.
        most: number of blocks.
    """

    mpp: float
    block: int
    radius: int
    most: int


def warped_region(ihc: Slide, transform: Transform, region: Region, mpp: float) -> RGB:
    """What the IHC shows of a region of the H&E's grid at ``mpp``, resampled once; white where there is no slide.

    Within the region the transform is taken to be affine.

    Returns:
        uint8 (height, width, 3).
    """
    middle = np.array((region.x + region.width / 2, region.y + region.height / 2)) * mpp
    local = transform.local(middle, max(region.width, region.height) * mpp / 2)
    return resample_affine(ihc, local, region, mpp)


def resample_affine(ihc: Slide, motion: Affine, region: Region, mpp: float) -> RGB:
    """The same under a motion that is given, bilinear, from the IHC's own grid at ``mpp``."""
    corners = np.array([(x, y) for x in (region.x, region.right) for y in (region.y, region.bottom)]) * mpp
    there = motion.at(corners) / mpp
    low, high = np.floor(there.min(axis=0)) - 1, np.ceil(there.max(axis=0)) + 1
    box = Region(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    read = read_region(ihc, box, mpp)
    first = motion.at(np.array([[region.x + 0.5, region.y + 0.5]]) * mpp)[0] / mpp - 0.5 - (box.x, box.y)
    rows = motion.matrix[::-1, ::-1]
    if np.allclose(rows, np.eye(2), atol=1e-7) and np.allclose(first, np.rint(first), atol=1e-3):
        x, y = np.rint(first).astype(int)
        return np.ascontiguousarray(read[y : y + region.height, x : x + region.width])
    pixels = np.empty((region.height, region.width, 3), np.uint8)
    for channel in range(3):
        plane = read[..., channel].astype(np.float32)
        moved = affine_transform(plane, rows, first[::-1], pixels.shape[:2], order=1, mode="constant", cval=255)
        pixels[..., channel] = np.rint(moved)
    return pixels


def tissue_places(overview: Overview, spacing: float, least: float = 0.35) -> Floats:
    """Places (n, 2) in microns, on a square grid over the tissue, whose square is tissue by at least that share."""
    step = spacing / overview.mpp
    height, width = overview.mask.shape
    found = []
    for row in range(max(1, floor(height / step))):
        for column in range(max(1, floor(width / step))):
            square = overview.mask[
                int(row * step) : ceil((row + 1) * step), int(column * step) : ceil((column + 1) * step)
            ]
            if square.mean() >= least:
                found.append(((column + 0.5) * spacing, (row + 0.5) * spacing))
    return np.array(found, dtype=np.float64).reshape(-1, 2)


def spread_places(overview: Overview, scale: Scale) -> Floats:
    """At most ``scale.most`` places on tissue, evenly spread, not closer than half a block."""
    spacing = max(scale.block * scale.mpp / 2, (overview.area_mm2 * 1e6 / scale.most) ** 0.5)
    places = tissue_places(overview, spacing)
    while len(places) > scale.most:
        spacing *= 1.1
        places = tissue_places(overview, spacing)
    return places


def match_closely(
    he: Slide, ihc: Slide, transform: Transform, places: Sequence[Floats] | Floats, scale: Scale, workers: int
) -> Blocks:
    """Match the surroundings of places on the H&E with the IHC under a transform.

    Args:
        he: open slide.
        ihc: open slide.
        transform: what is known so far.
        places: (n, 2) microns of the H&E.
        scale: resolution, size of the blocks and of the search.
        workers: threads.

    Returns:
        blocks in the order of the places; those that are not on the IHC slide, or empty on either side, do not agree.
    """
    with ThreadPoolExecutor(workers) as pool:
        rows = list(pool.map(lambda place: _match_one(he, ihc, transform, place, scale), places))
    found = np.array(rows, dtype=np.float64).reshape(-1, 3)
    shifts, weights = found[:, :2] * scale.mpp, np.clip(found[:, 2], 0, 1)
    placed = np.asarray(places, dtype=np.float64).reshape(-1, 2)
    agree = weights > _LEAST_MARGIN
    tolerance = max(2 * scale.mpp, scale.block * scale.mpp / 48)
    agree[agree] = agreeing(placed[agree], shifts[agree], tolerance, planes=True)
    return Blocks(placed, shifts, weights, agree)


def _match_one(he: Slide, ihc: Slide, transform: Transform, place: Floats, scale: Scale) -> tuple[float, float, float]:
    """Shift (x, y) in pixels and weight of one block."""
    side = scale.block + 2 * (scale.radius + _MARGIN)
    x, y = np.rint(place / scale.mpp - side / 2).astype(int).tolist()
    region = Region(x, y, side, side)
    edge = _MARGIN + scale.radius
    fixed = _content_of(read_region(he, region, scale.mpp), "he", edge)
    moving = _content_of(warped_region(ihc, transform, region, scale.mpp), "ihc", edge)
    if fixed is None or moving is None:
        return 0.0, 0.0, 0.0
    corner = np.array([[scale.radius, scale.radius]])
    match = match_blocks(fixed, moving, corner, scale.block, scale.radius)
    return float(match.shifts[0, 0]), float(match.shifts[0, 1]), float(match.margins[0])


def _content_of(rgb: RGB, side: Side, edge: int) -> Floats | None:
    """Band-passed content without the margin; None where the block, so many pixels from the edge, is bare glass."""
    channels = content(rgb, side)
    if is_glass(channels[1, edge:-edge, edge:-edge]):
        return None
    passed = np.concatenate([band_passed(channels, 1.0, 4.0), band_passed(channels, 2.5, 10.0)])
    return passed[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
