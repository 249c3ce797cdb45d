"""From scattered shifts to a motion: robust affine maps, and smooth fields for what they leave.

A match is a place and a shift; some are wrong. Iteratively reweighted least squares with Cauchy weights lets those that
agree decide (Holland and Welsch, Commun. Stat. 6, 1977); thin-plate splines follow what is smooth (Duchon 1977; Wahba,
"Spline Models for Observational Data", 1990).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

from restain.stains import Floats

Motion: TypeAlias = Literal["shift", "rigid", "affine"]
_ROUNDS = 12
_PLANE, _PLANE_ROUNDS = 5, 6  # neighbours that a plane needs, and rounds of reweighting
SMOOTHINGS = (0.03, 0.3, 3.0, 30.0)  # of the thin-plate spline, in units of the mean distance between the places


@dataclass(frozen=True)
class Affine:
    """x, y -> matrix (2, 2) @ (x, y) + offset (2,)."""

    matrix: Floats
    offset: Floats

    @staticmethod
    def identity() -> Affine:
        """The map that leaves everything where it is."""
        return Affine(np.eye(2), np.zeros(2))

    def at(self, points: Floats) -> Floats:
        """Map points (n, 2)."""
        return np.asarray(points @ self.matrix.T + self.offset)

    def after(self, first: Affine) -> Affine:
        """The map that applies ``first`` and then this one."""
        return Affine(self.matrix @ first.matrix, self.matrix @ first.offset + self.offset)

    def inverse(self) -> Affine:
        """The map back."""
        back = np.linalg.inv(self.matrix)
        return Affine(back, -back @ self.offset)


def fit_motion(places: Floats, shifts: Floats, weights: Floats, tolerance: float, motion: Motion = "rigid") -> Affine:
    """The map place -> place + shift that most matches agree with.

    Args:
        places: (n, 2), x and y.
        shifts: (n, 2).
        weights: (n,), how much each match is trusted from the start, >= 0.
        tolerance: distance at which a match counts half.
        motion: "shift", "rigid" (a small rotation and a shift) or "affine".
    """
    middle = np.average(places, axis=0, weights=weights)
    local = places - middle
    one, none = np.ones(len(places)), np.zeros(len(places))
    x, y = local.T
    rows: dict[Motion, tuple[list[Floats], list[Floats]]] = {
        "shift": ([one, none], [none, one]),
        "rigid": ([one, none, -y], [none, one, x]),
        "affine": ([one, none, x, y, none, none], [none, one, none, none, x, y]),
    }
    design = np.concatenate([np.stack(half, axis=1) for half in rows[motion]])
    wanted = shifts.T.ravel()
    spread = max(tolerance, float(np.median(np.hypot(*(shifts - np.median(shifts, axis=0)).T))))
    trust = weights
    for turn in range(_ROUNDS):
        root = np.sqrt(np.tile(trust, 2))
        found = np.linalg.lstsq(design * root[:, None], wanted * root, rcond=None)[0]
        residuals = np.hypot(*(wanted - design @ found).reshape(2, -1))
        scale = max(tolerance, spread * 0.6**turn)  # from all matches to those that agree
        trust = weights / (1 + (residuals / scale) ** 2)
    if motion == "shift":
        matrix = np.eye(2)
    elif motion == "rigid":
        cosine, sine = np.cos(found[2]), np.sin(found[2])
        matrix = np.array([[cosine, -sine], [sine, cosine]])
    else:
        matrix = np.eye(2) + found[2:].reshape(2, 2)
    return Affine(matrix, middle + found[:2] - matrix @ middle)


def agreeing(
    places: Floats, shifts: Floats, tolerance: float, slack: float = 3.0, neighbours: int = 8, planes: bool = False
) -> np.typing.NDArray[np.bool_]:
    """Which matches lie within ``tolerance``, or ``slack`` times the usual deviation, of their neighbours' median.

    Args:
        places: (n, 2).
        shifts: (n, 2).
        tolerance: in the unit of the shifts.
        slack: 0 for the tolerance alone.
        neighbours: how many are asked.
        planes: a match may also lie close to the plane through its neighbours' shifts: where tissue is stretched, as at
            the edge of a section, their median is off.
    """
    if len(places) <= 3:
        return np.ones(len(places), bool)
    _, near = cKDTree(places).query(places, min(neighbours + 1, len(places)))
    near = near[:, 1:]
    off = np.hypot(*(shifts - np.median(shifts[near], axis=1)).T)
    if planes and near.shape[1] >= _PLANE:
        off = np.minimum(off, np.hypot(*(shifts - _by_planes(places, shifts, near)).T))
    return np.asarray(off <= max(tolerance, slack * float(np.median(off))))


def _by_planes(places: Floats, shifts: Floats, near: np.typing.NDArray[np.intp]) -> Floats:
    """Shifts (n, 2) of the planes through the shifts of each place's neighbours, (n, k)."""
    local = places[near] - places[:, None]
    unit = np.abs(local).mean(axis=(1, 2), keepdims=True) + 1e-9
    design = np.concatenate([np.ones((*near.shape, 1)), local / unit], axis=2)
    trust = np.ones(near.shape)
    for _ in range(_PLANE_ROUNDS):
        weighted = design * trust[..., None]
        normal = np.swapaxes(weighted, 1, 2) @ design + 1e-6 * np.eye(3)
        found = np.linalg.solve(normal, np.swapaxes(weighted, 1, 2) @ shifts[near])
        residuals = np.hypot(*np.moveaxis(shifts[near] - design @ found, 2, 0))
        trust = 1 / (1 + (residuals / (np.median(residuals, axis=1, keepdims=True) + 1e-9)) ** 2)
    return np.asarray(found[:, 0])


def _on_a_line(places: Floats) -> bool:
    """Whether places lie so close to a line that no surface can be put through them, as along a needle biopsy."""
    along, across = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)
    return bool(across < 0.01 * along)


class SmoothField:
    """A thin-plate spline through shifts, the smoother the less they are trusted; constant slope outside."""

    def __init__(self, places: Floats, shifts: Floats, weights: Floats, smoothing: float) -> None:
        """Fit.

        Args:
            places: (n, 2), n at least 4 and not all on a line.
            shifts: (n, 2).
            weights: (n,), above 0.
            smoothing: one of ``SMOOTHINGS``.
        """
        self._middle = places.mean(axis=0)
        self._unit = float(np.sqrt(np.prod(np.ptp(places, axis=0) + 1e-9) / len(places))) or 1.0
        penalty = smoothing * float(np.mean(weights)) / weights
        self._spline = RBFInterpolator((places - self._middle) / self._unit, shifts, smoothing=penalty, degree=1)

    def at(self, points: Floats) -> Floats:
        """Shifts (n, 2) at points (n, 2)."""
        return np.asarray(self._spline((points - self._middle) / self._unit))


def choose_field(
    places: Floats, shifts: Floats, weights: Floats, gain: float = 0.97
) -> tuple[SmoothField | None, float]:
    """The smooth field that foretells matches which it was not fitted to better than none does.

    Ten-fold cross-validation over the smoothing, scored by the weighted mean distance, so that noise is not followed.

    Args:
        places: (n, 2).
        shifts: (n, 2).
        weights: (n,).
        gain: a field must lower the distance to less than this share of it.

    Returns:
        the field or None, and the weighted mean distance between matches and what is foretold of them.
    """
    left = np.hypot(*shifts.T)
    distance = float(np.average(left, weights=weights))
    if len(places) < 12 or _on_a_line(places):
        return None, distance
    best, chosen = gain * distance, None
    fold = np.arange(len(places)) * 7 % 10  # a fixed pattern that is spread over the rows of blocks
    for smoothing in SMOOTHINGS:
        errors = np.empty(len(places))
        for part in range(10):
            out = fold == part
            if out.any():
                fitted = SmoothField(places[~out], shifts[~out], weights[~out], smoothing)
                errors[out] = np.hypot(*(fitted.at(places[out]) - shifts[out]).T)
        score = float(np.average(errors, weights=weights))
        if score < best:
            best, chosen = score, smoothing
    if chosen is None:
        return None, distance
    return SmoothField(places, shifts, weights, chosen), best
