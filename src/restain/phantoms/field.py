"""Random fields over the plane, in microns: every value is a hash of its place, so any window agrees with any other.

Nothing here has a state. A field drawn in tiles is the field drawn whole, and a cell is the same cell in whichever
tile it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STEP_Y = np.uint64(0xD1B54A32D192ED03)
_STEP_X = np.uint64(0x8CB92BA72F3D8DD7)
_SPREAD = 1.0 / 0.5625  # quadratic B-spline weights average unit white noise to a standard deviation of about 0.56


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def hash_bits(key: int, iy: Integers, ix: Integers) -> npt.NDArray[np.uint64]:
    """64 well-mixed bits for each integer place (broadcast), under a key."""
    rows = _mix(np.asarray(iy).astype(np.uint64) * _STEP_Y + np.uint64(key))
    return _mix(rows + np.asarray(ix).astype(np.uint64) * _STEP_X + _GOLDEN)


def hash_uniform(key: int, iy: Integers, ix: Integers) -> Array:
    """Uniform in [0, 1) for each integer place."""
    return np.asarray((hash_bits(key, iy, ix) >> np.uint64(11)) * 2.0**-53)


def hash_normal(key: int, iy: Integers, ix: Integers) -> Array:
    """Nearly normal (mean 0, variance 1, never beyond 3.47): the sum of four 16-bit uniforms of one hash."""
    bits = hash_bits(key, iy, ix)
    mask = np.uint64(0xFFFF)
    total = sum(((bits >> np.uint64(shift)) & mask).astype(np.float64) for shift in (0, 16, 32, 48))
    return np.asarray((total / 65536.0 - 2.0 + 2.0 / 65536.0) * np.sqrt(3.0))


def _snap(values: Array) -> Array:
    """Round to 2**-20, so that subtracting a window's own origin is exact and tiles agree to the last bit."""
    return np.asarray(np.rint(values * 1048576.0) / 1048576.0)


@dataclass(frozen=True)
class Noise:
    """Smooth noise, about zero mean and unit variance: a quadratic B-spline through hashed lattice values.

    Attributes:
        key: which noise; two keys are independent.
        scale: lattice spacing in microns, about the size of a blob.
    """

    key: int
    scale: float

    def at(self, y: Array, x: Array) -> Array:
        """Values at points in microns, any shape; float64 of that shape."""
        if y.size == 0:
            return np.zeros(y.shape)
        v, u = _snap(y / self.scale), _snap(x / self.scale)
        top, left = int(np.floor(v.min())) - 2, int(np.floor(u.min())) - 2
        rows = np.arange(top, int(np.ceil(v.max())) + 3)
        columns = np.arange(left, int(np.ceil(u.max())) + 3)
        lattice = hash_normal(self.key, rows[:, None], columns[None, :]) * _SPREAD
        out = np.empty(y.shape)
        ndimage.map_coordinates(lattice, [v - top, u - left], order=2, prefilter=False, output=out)
        return out


@dataclass(frozen=True)
class Octaves:
    """A weighted sum of smooth fields, scaled to about unit variance."""

    parts: tuple[tuple[Noise, float], ...]

    def at(self, y: Array, x: Array) -> Array:
        """Values at points in microns."""
        total = np.zeros(y.shape)
        for noise, weight in self.parts:
            total += weight * noise.at(y, x)
        return total / self._norm

    @property
    def slope(self) -> float:
        """Root mean square gradient per micron (0.85 / scale for one noise); value / slope is about a distance."""
        return float(np.sqrt(sum((0.85 * w / n.scale) ** 2 for n, w in self.parts))) / self._norm

    @property
    def _norm(self) -> float:
        return float(np.sqrt(sum(w**2 for _, w in self.parts)))


@dataclass(frozen=True)
class Foam:
    """Points scattered one to a square of side ``scale`` microns, as bubbles in a foam."""

    key: int
    scale: float
    jitter: float = 0.8

    def at(self, y: Array, x: Array) -> Nearest:
        """The points nearest to places in microns (Worley, SIGGRAPH 1996)."""
        iy, ix = np.floor(y / self.scale).astype(np.int64), np.floor(x / self.scale).astype(np.int64)
        first, second = np.full(y.shape, np.inf), np.full(y.shape, np.inf)
        near_y, near_x = np.zeros(y.shape), np.zeros(y.shape)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                py, px = self._points(iy + dy, ix + dx)
                distance = np.hypot(y - py, x - px)
                nearer = distance < first
                second = np.where(nearer, first, np.minimum(second, distance))
                near_y, near_x = np.where(nearer, py, near_y), np.where(nearer, px, near_x)
                first = np.where(nearer, distance, first)
        return Nearest(first, second, near_y, near_x)

    def _points(self, iy: Integers, ix: Integers) -> tuple[Array, Array]:
        ry = hash_uniform(self.key, iy, ix) - 0.5
        rx = hash_uniform(self.key + 1, iy, ix) - 0.5
        return (iy + 0.5 + self.jitter * ry) * self.scale, (ix + 0.5 + self.jitter * rx) * self.scale


@dataclass(frozen=True)
class Nearest:
    """Distances in microns to the nearest and second nearest point, and where the nearest is."""

    first: Array
    second: Array
    y: Array
    x: Array
