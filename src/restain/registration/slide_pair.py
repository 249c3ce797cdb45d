"""From two open slides to a transform: orientation, rigid, affine, and a smooth field where it helps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from restain.alignment.fitting import Affine, SmoothField, agreeing, choose_field, fit_motion
from restain.errors import RestainError
from restain.registration.closeup import Scale, match_closely, spread_places
from restain.registration.overview import Overview, overview_mpp, read_overview
from restain.registration.search import Blocks, match_on_grid, peak_height, refit, search_orientations
from restain.registration.transform import ShiftField, Transform
from restain.stains import Floats
from restain.wsi.slide import Slide

_LEAST_PEAK = 10.0  # standard deviations; below, two slides hardly show the same tissue; see docs/pairs.md
_ENOUGH = 20  # blocks that must agree before an affine map may follow them
_STRAIN = (0.85, 1.18)  # singular values of an affine correction that sections can have
_NODES = 48  # of a field, along the longer side


@dataclass(frozen=True)
class Registration:
    """Two slides and how they lie.

    Attributes:
        transform: from H&E to IHC, microns.
        he: the H&E at low resolution.
        ihc: the IHC at low resolution.
        peak: correlation at low resolution, in standard deviations above that of displaced sections.
        support: share of blocks at low resolution that agree with the motion, weighted by how distinct they are.
        runner_up: the same of the best orientation that differs.
        check: blocks at fine resolution under the transform, of which none was used in fitting it.
        before: the same blocks under the rigid motion alone.
    """

    transform: Transform
    he: Overview
    ihc: Overview
    peak: float
    support: float
    runner_up: float
    check: Blocks
    before: Blocks

    check_tolerance: float = 2.0  # µm: closer than block matching can tell

    @property
    def residuals(self) -> Floats:
        """Lengths in microns of the shifts that are left, of the blocks that agree."""
        return np.asarray(np.hypot(*self.check.shifts[self.check.agree].T))

    @property
    def inliers(self) -> float:
        """Share of the blocks on tissue that agree with their neighbours."""
        return float(self.check.agree.mean()) if len(self.check.agree) else 0.0

    @property
    def robustness(self) -> float:
        """Share of the blocks, found before and after, that lie no farther off than under the rigid motion alone."""
        both = self.check.agree & self.before.agree
        if not both.any():
            return 0.0
        after, before = (np.hypot(*blocks.shifts[both].T) for blocks in (self.check, self.before))
        return float(np.mean(after <= np.maximum(before, self.check_tolerance)))


def register_slides(he: Slide, ihc: Slide, *, workers: int = 1) -> Registration:
    """Find out how two sections of the same tissue lie.

    Args:
        he: open H&E slide.
        ihc: open IHC slide, of any other resolution.
        workers: threads.

    Raises:
        RestainError: no tissue, or the two show different tissue.
    """
    mpp = overview_mpp(he, ihc)
    near, far = read_overview(he, "he", mpp), read_overview(ihc, "ihc", mpp)
    candidates = search_orientations(near, far)
    best = candidates[0]
    rivals = [one.score for one in candidates if _differs(one.motion, best.motion, near)]
    runner_up = max(rivals, default=0.0)
    blocks = match_on_grid(near.content, far.content, mpp, best.motion, block=64, radius=12)
    support = max(best.score, blocks.support)
    rigid = best.motion.after(refit(blocks, "rigid", mpp))
    transform = Transform(rigid, Affine.identity())
    blocks = match_on_grid(near.content, far.content, mpp, rigid, block=64, radius=8)
    transform = _followed(transform, blocks, tolerance=mpp, field=False)
    native = max(he.mpp, ihc.mpp)
    for scale in _scales(mpp, native):
        found = match_closely(he, ihc, transform, spread_places(near, scale), scale, workers)
        transform = _followed(transform, found, tolerance=scale.mpp * 2, field=True)
    peak = peak_height(near.content, far.content, mpp, transform.at)
    if peak < _LEAST_PEAK:
        raise _different(
            he, ihc, f"correlation {peak:.1f} standard deviations above chance; expected at least {_LEAST_PEAK:g}"
        )
    last = _scales(mpp, native)[-1]
    places = spread_places(near, Scale(last.mpp, last.block, last.radius, 96))
    places = places + last.block * last.mpp * 0.25  # between those that were fitted
    check = match_closely(he, ihc, transform, places, last, workers)
    before = match_closely(he, ihc, Transform(rigid, Affine.identity()), places, last, workers)
    if check.agree.sum() < 3:
        raise _different(he, ihc, f"{int(check.agree.sum())} of {len(check.agree)} blocks agree; expected at least 3")
    return Registration(transform, near, far, peak, support, runner_up, check, before)


def _different(he: Slide, ihc: Slide, found: str) -> RestainError:
    return RestainError(f"{he.path} and {ihc.path}: show different tissue, or too little of the same ({found})")


def _differs(one: Affine, other: Affine, overview: Overview) -> bool:
    """Whether two motions carry the tissue to places more than a tenth of its extent apart."""
    extent = np.array(overview.mask.shape[::-1]) * overview.mpp
    corners = np.array([(0, 0), (1, 0), (0, 1), (1, 1)]) * extent
    return bool(np.hypot(*(one.at(corners) - other.at(corners)).T).max() > 0.1 * extent.max())


def _scales(overview: float, native: float) -> list[Scale]:
    """A third of the overview's resolution, then about 1 µm per pixel in smaller blocks, as far as the slides go."""
    middle, finest = max(native, overview / 3), max(native, 1.0)
    return [Scale(middle, 128, 20, 240), Scale(finest, 96 if finest > 1.2 else 128, 12, 480)]


def _followed(transform: Transform, blocks: Blocks, tolerance: float, field: bool) -> Transform:
    """The transform after what blocks say under it; as it was where too few agree."""
    use = blocks.agree
    if use.sum() < 6:
        return transform
    places, weights = blocks.places[use], blocks.weights[use]
    moved = places + blocks.shifts[use]
    if transform.field is not None:
        moved = moved + transform.field.at(moved)
    total = moved - places
    correction = fit_motion(places, total, weights, tolerance, "affine" if use.sum() >= _ENOUGH else "rigid")
    strain = np.linalg.svd(transform.affine.after(correction).matrix, compute_uv=False)
    if not (_STRAIN[0] < strain.min() and strain.max() < _STRAIN[1]):
        correction = fit_motion(places, total, weights, tolerance, "rigid")
    straight = Transform(transform.rigid, transform.affine.after(correction))
    if not field:
        return straight
    left = correction.inverse().at(moved) - places
    kept = agreeing(places, left, tolerance, planes=True)
    smooth, _ = choose_field(places[kept], left[kept], weights[kept])
    if smooth is None:
        return straight
    return Transform(straight.rigid, straight.affine, _sampled(smooth, places[kept]))


def _sampled(smooth: SmoothField, places: Floats) -> ShiftField:
    """A spline on a grid around the places it came from; far from all of them, what the nearest one says."""
    low, high = places.min(axis=0), places.max(axis=0)
    spacing = max(float((high - low).max()) / (_NODES - 5), 1.0)
    origin = low - 2 * spacing
    columns, rows = (np.ceil((high - low) / spacing) + 5).astype(int)
    x, y = np.meshgrid(origin[0] + spacing * np.arange(columns), origin[1] + spacing * np.arange(rows))
    nodes = np.stack([x.ravel(), y.ravel()], axis=1)
    tree = cKDTree(places)
    usual = float(np.median(tree.query(places, 2)[0][:, 1]))
    distance, nearest = tree.query(nodes)
    asked = places[nearest] + (nodes - places[nearest]) * np.minimum(1, usual / np.maximum(distance, 1e-9))[:, None]
    return ShiftField((float(origin[0]), float(origin[1])), spacing, smooth.at(asked).reshape(rows, columns, 2))
