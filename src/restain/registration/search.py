"""Which way round two sections lie: every rotation and mirror is tried, the best are looked at closely.

At about 128 pixels a side the IHC is turned by every 5 degrees, with and without a mirror, and moved over the H&E by
the Fourier transform; the correlations of tissue presence and haematoxylin are added. Outlines alone can be symmetric,
so the best candidates are refined by block matching at three times that resolution, and the one whose blocks agree most
wins. The scale is never searched: it is known from the microns per pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy.ndimage import affine_transform, binary_erosion, gaussian_filter, map_coordinates

from restain.alignment.blocks import block_corners, match_blocks
from restain.alignment.fitting import Affine, Motion, agreeing, fit_motion
from restain.registration.overview import Overview, band_passed, shrunk
from restain.stains import Floats

_COARSE = 128  # pixels of the longer side
_FINE = 3.0  # times the coarse resolution, where the overview has it
_STEP = 5.0  # degrees
_KEPT = 8  # candidates looked at closely
_APART = 12.0  # degrees between candidates
_LEAST_MARGIN = 0.02  # of a block's correlation over that of other places
_PRESENT = 0.2  # presence of tissue
_IN_PLACE, _DISPLACED = 3.0, (10.0, 32.0)  # pixels


@dataclass(frozen=True)
class Candidate:
    """A rigid motion from H&E to IHC microns, and how well it explains the slides.

    Attributes:
        motion: the map.
        mirrored: whether it turns a section over.
        angle: degrees.
        score: of the coarse search, or after a close look the weight of the blocks that agree.
    """

    motion: Affine
    mirrored: bool
    angle: float
    score: float


@dataclass(frozen=True)
class Blocks:
    """What block matching at one resolution says about a motion.

    Attributes:
        places: (n, 2), microns of the H&E, of the blocks that lie on tissue.
        shifts: (n, 2), microns by which the H&E place must be moved before the motion.
        weights: (n,), 0 to 1.
        agree: bool (n,).
    """

    places: Floats
    shifts: Floats
    weights: Floats
    agree: np.typing.NDArray[np.bool_]

    @property
    def support(self) -> float:
        """Share of the tissue's blocks that agree, each weighted by how distinct its match is; 0 to 1."""
        return float(self.weights[self.agree].sum() / max(len(self.weights), 1))


def search_orientations(he: Overview, ihc: Overview) -> list[Candidate]:
    """Rigid motions that may carry the H&E onto the IHC, the best first, after a close look at each.

    Never empty; whether the best one can be believed is for its caller to find out.
    """
    coarse = _grid_pair(he, ihc, _COARSE)
    fine = _grid_pair(he, ihc, _COARSE * _FINE)
    looked_at = _by_score(_refined(candidate, fine, radius=20) for candidate in _best_apart(_coarse_scores(coarse)))
    return _by_score([_refined(looked_at[0], fine, radius=8), *looked_at[1:]])


def _by_score(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: -candidate.score)


@dataclass(frozen=True)
class _Grids:
    """Both slides as channels (2, height, width) at one resolution."""

    he: Floats
    ihc: Floats
    mpp: float


def _grid_pair(he: Overview, ihc: Overview, longest: float) -> _Grids:
    side = max(max(one.mask.shape) * one.mpp for one in (he, ihc))
    factor = max(1.0, side / longest / he.mpp)
    return _Grids(shrunk(he.content, factor), shrunk(ihc.content, factor), he.mpp * factor)


def _coarse_scores(grids: _Grids) -> list[Candidate]:
    """The best shift for every angle and mirror."""
    fixed = _patterns(grids.he)
    diagonal = int(np.ceil(np.hypot(*grids.ihc.shape[1:])))
    side = [scipy.fft.next_fast_len(length + diagonal, real=True) for length in fixed.shape[1:]]
    spectrum = scipy.fft.rfft2(fixed, side)
    moving = _patterns(grids.ihc)
    centre = (np.array(moving.shape[1:]) - 1) / 2
    found = []
    for mirrored in (False, True):
        for angle in np.arange(0.0, 360.0, _STEP):
            matrix = _rotation(angle, mirrored)  # H&E -> IHC, x and y
            rows = matrix[::-1, ::-1]  # the same for y and x
            start = centre - rows @ np.full(2, (diagonal - 1) / 2)
            turned = np.stack([affine_transform(one, rows, start, (diagonal, diagonal), order=1) for one in moving])
            surface = scipy.fft.irfft2((spectrum * np.conj(scipy.fft.rfft2(turned, side))).sum(axis=0), side)
            dy, dx = np.unravel_index(int(surface.argmax()), surface.shape)
            shift = np.array([dx - (dx >= fixed.shape[2]) * side[1], dy - (dy >= fixed.shape[1]) * side[0]])
            # A turned pixel q lies at H&E pixel q + shift: H&E pixel p shows IHC pixel matrix (p - shift - c) + centre.
            first = centre[::-1] - matrix @ (shift + (diagonal - 1) / 2)
            offset = (first + 0.5 - matrix @ (0.5, 0.5)) * grids.mpp
            found.append(Candidate(Affine(matrix, offset), mirrored, float(angle), float(surface.max())))
    return found


def _patterns(content: Floats) -> Floats:
    """Presence of tissue, and haematoxylin about its mean on the tissue, each of unit length."""
    haematoxylin, presence = (gaussian_filter(one, 1.2) for one in content)
    there = presence > 0.3
    mean = float(haematoxylin[there].mean()) if there.any() else 0.0
    varied = np.where(there, haematoxylin - mean, 0)
    return np.stack([one / max(float(np.sqrt((one**2).sum())), 1e-9) for one in (presence, varied)]).astype(np.float32)


def _rotation(angle: float, mirrored: bool) -> Floats:
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(matrix @ np.diag([-1.0, 1.0])) if mirrored else matrix


def _best_apart(candidates: list[Candidate]) -> list[Candidate]:
    chosen: list[Candidate] = []
    for one in _by_score(candidates):
        if all(
            one.mirrored != other.mirrored or abs((one.angle - other.angle + 180) % 360 - 180) >= _APART
            for other in chosen
        ):
            chosen.append(one)
        if len(chosen) == _KEPT:
            break
    return chosen


def _refined(candidate: Candidate, grids: _Grids, radius: int) -> Candidate:
    """The candidate after block matching, scored by the blocks that agree."""
    blocks = match_on_grid(grids.he, grids.ihc, grids.mpp, candidate.motion, block=48, radius=radius)
    motion = candidate.motion
    if blocks.agree.sum() >= 3:
        motion = motion.after(refit(blocks, "rigid", grids.mpp))
    return Candidate(motion, candidate.mirrored, candidate.angle, blocks.support)


def refit(blocks: Blocks, motion: Motion, tolerance: float) -> Affine:
    """The correction of H&E places that the blocks ask for."""
    use = blocks.agree if blocks.agree.sum() >= 3 else np.ones(len(blocks.places), bool)
    return fit_motion(blocks.places[use], blocks.shifts[use], blocks.weights[use] + 1e-6, tolerance, motion)


def match_on_grid(he: Floats, ihc: Floats, mpp: float, motion: Affine, block: int, radius: int) -> Blocks:
    """Match blocks of the H&E with the IHC that a motion carries back onto it.

    Args:
        he: float32 (2, height, width), what ``content`` gives, 0 off the tissue.
        ihc: the same of the IHC.
        mpp: microns per pixel of both.
        motion: H&E to IHC, microns.
        block: side in pixels.
        radius: pixels.
    """
    rows = motion.matrix[::-1, ::-1]
    start = (motion.at(np.array([[0.5, 0.5]]) * mpp)[0] / mpp - 0.5)[::-1]
    moved = np.stack([affine_transform(one, rows, start, he.shape[1:], order=1) for one in ihc])
    if min(he.shape[1:]) < block:
        pad = [(0, 0), *((0, max(0, block - side)) for side in he.shape[1:])]
        he, moved = np.pad(he, pad), np.pad(moved, pad)
    corners = block_corners((he.shape[1], he.shape[2]), block, block // 2)
    filled = np.array([(he[1, y : y + block, x : x + block] > _PRESENT).mean() for x, y in corners])
    corners = corners[filled > 0.3]
    matches = match_blocks(_bands(he), _bands(moved), corners, block, radius)
    weights = np.clip(matches.margins, 0, 1)
    agree = weights > _LEAST_MARGIN
    agree[agree] = agreeing(matches.places[agree], matches.shifts[agree], max(2.0, block / 16), planes=True)
    return Blocks((matches.places + 0.5) * mpp, matches.shifts * mpp, weights, agree)


def peak_height(he: Floats, ihc: Floats, mpp: float, to_ihc: Callable[[Floats], Floats]) -> float:
    """How far two sections' correlation under a transform stands out from that under displaced ones.

    Only what lies inside both pieces of tissue counts, so two outlines that fit do not suffice.

    Args:
        he: float32 (2, height, width), what ``content`` gives, 0 off the tissue.
        ihc: the same of the IHC.
        mpp: microns per pixel of both.
        to_ihc: from places (n, 2) on the H&E to places on the IHC, microns.

    Returns:
        the largest correlation within 3 pixels, less the mean of those 10 to 32 pixels away, in standard deviations of
        the latter; 0 where the sections do not overlap.
    """
    y, x = np.indices(he.shape[1:])
    places = to_ihc((np.stack([x.ravel(), y.ravel()], axis=1) + 0.5) * mpp) / mpp - 0.5
    moved = np.stack([map_coordinates(one, places.T[::-1], order=1).reshape(y.shape) for one in ihc])
    inside = binary_erosion((he[1] > _PRESENT) & (moved[1] > _PRESENT), iterations=2)
    if not inside.any():
        return 0.0
    far = int(_DISPLACED[1])
    side = [scipy.fft.next_fast_len(length + far, real=True) for length in he.shape[1:]]
    surfaces = []
    for one, other in zip(_fine_band(he), _fine_band(moved), strict=True):
        fixed, moving = (np.where(inside, band - band[inside].mean(), 0) for band in (one, other))
        scale = np.sqrt((fixed**2).sum() * (moving**2).sum())
        spectrum = scipy.fft.rfft2(fixed, side) * np.conj(scipy.fft.rfft2(moving, side))
        surface = np.roll(scipy.fft.irfft2(spectrum, side), (far, far), axis=(0, 1))
        surfaces.append(surface[: 2 * far + 1, : 2 * far + 1] / max(scale, 1e-9))
    correlation = np.mean(surfaces, axis=0)
    distance = np.hypot(*np.mgrid[-far : far + 1, -far : far + 1])
    displaced = correlation[(distance >= _DISPLACED[0]) & (distance <= far)]
    return float((correlation[distance <= _IN_PLACE].max() - displaced.mean()) / max(displaced.std(), 1e-9))


def _bands(content: Floats) -> Floats:
    return np.concatenate([_fine_band(content), band_passed(content, 2.5, 10.0)])


def _fine_band(content: Floats) -> Floats:
    return band_passed(content, 1.0, 4.0)
