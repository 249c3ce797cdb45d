"""A pair of pictures of nearly the same place: what is left between them, and how far that can be believed.

Pictures are brought to about 512 pixels. Haematoxylin and the presence of tissue, band-passed, are matched block by
block; the share of blocks that find a distinct partner where their neighbours do is the confidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates

from restain.alignment.blocks import Matches, block_corners, is_glass, match_blocks
from restain.alignment.fitting import Affine, SmoothField, agreeing, choose_field, fit_motion
from restain.alignment.pictures import estimate_alignment
from restain.images import RGB
from restain.stains import DAB, EOSIN, HEMATOXYLIN, Floats, optical_density, separate

WORKING_SIDE = 512
_BLOCK, _RADIUS = 96, 16  # working pixels
_LEAST_MARGIN = 0.04
_TOLERANCE = 24  # parts of a block by which neighbours may differ
_NODES = 17  # of a field, along each side


@dataclass(frozen=True)
class LocalAlignment:
    """How an IHC picture lies under its H&E, in pixels of the pictures.

    H&E pixel (x, y) shows what the IHC shows at motion((x, y) + field((x, y))).

    Attributes:
        motion: rigid.
        field: (rows, columns, 2) x and y shifts at nodes spread evenly from the first to the last pixel; None where a
            smooth field explains the blocks no better than the motion alone.
        displacement: median length of the blocks' shifts before anything was corrected.
        residual: mean distance between the blocks that agree and what the motion, and a field fitted without them,
            foretell of them.
        confidence: share, 0 to 1, of the blocks with tissue that agree with their neighbours.
    """

    motion: Affine
    field: Floats | None
    displacement: float
    residual: float
    confidence: float

    def source_places(self, shape: tuple[int, int]) -> tuple[Floats, Floats]:
        """Rows and columns, (height, width) each, of the IHC that show the pixels of the H&E."""
        y, x = np.meshgrid(*(np.arange(side, dtype=np.float64) for side in shape), indexing="ij")
        if self.field is not None:
            nodes = [grid / (side - 1) * (_NODES - 1) for grid, side in zip((y, x), shape, strict=True)]
            dx, dy = (map_coordinates(self.field[..., axis], nodes, order=3, mode="nearest") for axis in (0, 1))
            x, y = x + dx, y + dy
        moved = self.motion.at(np.stack([x.ravel(), y.ravel()], axis=1))
        return moved[:, 1].reshape(shape), moved[:, 0].reshape(shape)

    def warp(self, ihc: RGB) -> tuple[RGB, float]:
        """The IHC resampled onto the H&E's pixels, mirrored at its edges, and the share that it really covers."""
        places = self.source_places(ihc.shape[:2])
        inside = np.ones(ihc.shape[:2], bool)
        for place, side in zip(places, ihc.shape, strict=False):
            inside &= (place >= -0.5) & (place <= side - 0.5)
        planes = [map_coordinates(ihc[..., c].astype(np.float32), places, order=1, mode="mirror") for c in range(3)]
        return np.rint(np.stack(planes, axis=-1)).astype(np.uint8), float(inside.mean())


def align_locally(he: RGB, ihc: RGB, *, search: bool = True, warp: bool = True) -> LocalAlignment | None:
    """Find the motion between two pictures of one place, and a smooth field where it lowers the residual.

    Args:
        he: H&E, uint8 (height, width, 3).
        ihc: IHC, the same size.
        search: look for shifts of up to an eighth of the shorter side first; otherwise up to a thirty-second.
        warp: allow a smooth field.

    Returns:
        None where the pictures are smaller than 128 pixels or show hardly any tissue in common.
    """
    if min(he.shape[:2]) < 128:
        return None
    scale = max(1, round(max(he.shape[:2]) / WORKING_SIDE))
    fixed, moving = _channels(he, EOSIN, scale), _channels(ihc, DAB, scale)
    block = min(_BLOCK, min(fixed.shape[1:]) // 2)
    corners = block_corners((fixed.shape[1], fixed.shape[2]), block, block // 2)
    bare = [any(is_glass(one[-1, y : y + block, x : x + block]) for one in (fixed, moving)) for x, y in corners]
    corners = corners[~np.array(bare)]
    if len(corners) < 4:
        return None
    coarse = estimate_alignment(he, ihc) if search else None
    motion = (
        Affine.identity()
        if coarse is None
        else _as_affine(coarse.shift_x, coarse.shift_y, coarse.rotation, fixed, scale)
    )
    bands, others = fixed[:-1], moving[:-1]
    first = match_blocks(bands, _moved(others, motion), corners, block, _RADIUS)
    agree = _agree(first, block)
    displacement = float(np.median(np.hypot(*(motion.at(first.places + first.shifts) - first.places).T)))
    if agree.sum() < 4:
        return _in_pixels(motion, None, displacement, float("inf"), float(agree.mean()), scale)
    places, shifts, weights = first.places[agree], first.shifts[agree], first.margins[agree]
    motion = motion.after(fit_motion(places, shifts, weights, block / 42, "rigid"))
    second = match_blocks(bands, _moved(others, motion), corners, block, _RADIUS)
    agree = _agree(second, block)
    places, shifts, weights = second.places[agree], second.shifts[agree], np.maximum(second.margins[agree], 1e-3)
    if len(places) < 4:
        return _in_pixels(motion, None, displacement, float("inf"), float(agree.mean()), scale)
    smooth, residual = choose_field(places, shifts, weights)
    if not warp:
        smooth, residual = None, float(np.average(np.hypot(*shifts.T), weights=weights))
    field = None if smooth is None else _nodes(smooth, (fixed.shape[1], fixed.shape[2]))
    return _in_pixels(motion, field, displacement, residual, float(agree.mean()), scale)


def _channels(rgb: RGB, second: tuple[float, ...], scale: int) -> Floats:
    """Two bands of haematoxylin, one of tissue's presence, each of unit variance; then the presence itself."""
    height, width = (side // scale for side in rgb.shape[:2])
    haematoxylin = np.clip(separate(rgb, HEMATOXYLIN, second)[..., 0], 0, 1)
    presence = np.tanh(optical_density(rgb).mean(axis=-1) / 0.15)
    small = [
        one[: height * scale, : width * scale].reshape(height, scale, width, scale).mean(axis=(1, 3))
        for one in (haematoxylin, presence)
    ]
    bands = [gaussian_filter(small[i], fine) - gaussian_filter(small[i], wide) for i, fine, wide in _BANDS]
    passed = [band / max(float(band.std()), 1e-3) for band in bands]
    return np.stack([*passed, small[1]]).astype(np.float32)


_BANDS = ((0, 1.5, 6.0), (0, 4.0, 16.0), (1, 2.0, 12.0))  # which of the two, and the deviations in working pixels


def _as_affine(shift_x: float, shift_y: float, rotation: float, fixed: Floats, scale: int) -> Affine:
    """H&E to IHC in working pixels, from the motion that carries the IHC onto the H&E."""
    turn = np.radians(rotation)  # counter-clockwise on the screen
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = (np.array(fixed.shape[:0:-1]) - 1) / 2
    onto = Affine(matrix, middle + np.array((shift_x, shift_y)) / scale - matrix @ middle)
    return onto.inverse()


def _moved(channels: Floats, motion: Affine) -> Floats:
    rows, start = motion.matrix[::-1, ::-1], motion.offset[::-1]
    return np.stack([affine_transform(one, rows, start, order=1) for one in channels])


def _agree(matches: Matches, block: int) -> np.typing.NDArray[np.bool_]:
    agree = matches.margins > _LEAST_MARGIN
    agree[agree] = agreeing(matches.places[agree], matches.shifts[agree], tolerance=block / _TOLERANCE, slack=0)
    return np.asarray(agree)


def _nodes(smooth: SmoothField, shape: tuple[int, int]) -> Floats:
    y, x = np.meshgrid(*(np.linspace(0, side - 1, _NODES) for side in shape), indexing="ij")
    return smooth.at(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(_NODES, _NODES, 2)


def _in_pixels(
    motion: Affine, field: Floats | None, displacement: float, residual: float, confidence: float, scale: int
) -> LocalAlignment:
    """From working pixels to the pictures' own; pixel i of the working picture covers ``scale`` of them."""
    half = np.full(2, (scale - 1) / 2)
    offset = motion.offset * scale + half - motion.matrix @ half
    shifts = None if field is None else field * scale
    return LocalAlignment(Affine(motion.matrix, offset), shifts, displacement * scale, residual * scale, confidence)
