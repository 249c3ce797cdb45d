"""Stylised slides of consecutive sections: dots for nuclei, on tissue of irregular outline, with a known transform.

They look like tissue to registration alone. A pair takes about two seconds, a hundredth of what rendered tissue takes,
so that many orientations can be tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from restain.images import RGB
from restain.phantoms.field import Array
from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose

_GRID = 10.0  # µm between samples of the smooth fields
_NUCLEUS_UM = 2.2  # standard deviation of a dot
_CONTROL_UM = 300.0  # radius of the piece of control tissue


@dataclass(frozen=True)
class Sections:
    """Two slides and the truth about them.

    Attributes:
        he: uint8 (height, width, 3).
        ihc: of any other size.
        he_mpp: microns per pixel.
        ihc_mpp: microns per pixel.
        to_ihc: IHC places (n, 2) of H&E places (n, 2), x and y in microns from the slides' corners.
        tissue: (n, 2), places well inside the tissue, microns of the H&E.
    """

    he: RGB
    ihc: RGB
    he_mpp: float
    ihc_mpp: float
    to_ihc: Callable[[Array], Array]
    tissue: Array


@dataclass(frozen=True)
class _Tissue:
    """Smooth fields of a section, sampled every ``_GRID`` microns."""

    rng: np.random.Generator
    size: tuple[float, float]
    ground: Array = field(init=False)  # 1 where there is tissue
    density: Array = field(init=False)  # of nuclei

    def __post_init__(self) -> None:
        width, height = self.size
        shape = int(height / _GRID), int(width / _GRID)
        y, x = np.mgrid[: shape[0], : shape[1]] * _GRID
        wave = smooth_noise(self.rng, shape, 350)
        rim = np.minimum(np.minimum(x, width - x) / width, np.minimum(y, height - y) / height)
        inside = rim + 0.05 * wave > 0.17
        amount = np.exp(0.8 * smooth_noise(self.rng, shape, 60) + 0.6 * smooth_noise(self.rng, shape, 18))
        ground = (inside & (smooth_noise(self.rng, shape, 40) < 1.6)).astype(np.float64)
        object.__setattr__(self, "ground", ground)
        object.__setattr__(self, "density", amount * ground)

    def nuclei(self, count: int) -> Array:
        """Places (n, 2) in microns of fewer than ``count`` nuclei, by rejection."""
        points = self.rng.uniform((0, 0), self.size, (count, 2))
        rows, columns = np.minimum((points[:, ::-1] / _GRID).astype(int), np.array(self.ground.shape) - 1).T
        return np.asarray(points[self.rng.uniform(0, 6, count) < self.density[rows, columns]])

    def places(self) -> Array:
        """Middles (n, 2) of the grid's squares, microns."""
        y, x = np.indices(self.ground.shape) * _GRID + _GRID / 2
        return np.stack([x.ravel(), y.ravel()], axis=1)


def draw_sections(
    seed: int = 0,
    *,
    size: tuple[float, float] = (2000.0, 1600.0),
    he_mpp: float = 1.5,
    ihc_mpp: float = 1.5,
    angle: float = 0.0,
    mirror: bool = False,
    shift: tuple[float, float] = (0.0, 0.0),
    warp: float = 15.0,
    turnover: float = 0.3,
    control: bool = False,
) -> Sections:
    """Draw a section and the next one, turned by ``angle``, mirrored, shifted and warped.

    Args:
        seed: of all randomness.
        size: width and height of the H&E slide, microns.
        he_mpp: microns per pixel.
        ihc_mpp: microns per pixel.
        angle: degrees, clockwise on the screen.
        mirror: left to right, before the turn.
        shift: microns, after the turn about the slides' middles.
        warp: standard deviation of the smooth warp along each axis, microns.
        turnover: share of the nuclei that are others.
        control: a piece of other tissue stands on the IHC slide.
    """
    rng = np.random.default_rng(seed)
    tissue = _Tissue(rng, size)
    flow = [warp * smooth_noise(rng, tissue.ground.shape, 350) for _ in range(2)]
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([-1 if mirror else 1, 1])
    bounds = np.abs(matrix) @ size + 100
    middle, target = np.array(size) / 2, bounds / 2 + shift

    def to_ihc(points: Array) -> Array:
        at = (points[:, 1] / _GRID, points[:, 0] / _GRID)
        moved = points + np.stack([map_coordinates(one, at, order=1, mode="nearest") for one in flow], axis=1)
        return np.asarray((moved - middle) @ matrix.T + target)

    count = int(size[0] * size[1] / 25)
    shared, own, other = (tissue.nuclei(int(count * share)) for share in (1 - turnover, turnover, turnover))
    nuclei = to_ihc(np.concatenate([shared, other]))
    ihc_size = (float(bounds[0]) + (700.0 if control else 0.0), float(bounds[1]))
    ground = _landed(to_ihc(_quarters(tissue.places()[tissue.ground.ravel() > 0])), ihc_size)
    if control:
        at = np.array((ihc_size[0] - 400, ihc_size[1] / 2))
        y, x = np.indices(ground.shape) * _GRID
        ground = np.maximum(ground, np.hypot(x - at[0], y - at[1]) < _CONTROL_UM)
        extra = rng.uniform(-_CONTROL_UM, _CONTROL_UM, (2500, 2))
        nuclei = np.concatenate([nuclei, extra[np.hypot(*extra.T) < _CONTROL_UM] + at])
    he = _picture(rng, np.concatenate([shared, own]), tissue.ground, size, he_mpp, EOSIN, 0.22)
    ihc = _picture(rng, nuclei, ground, ihc_size, ihc_mpp, DAB, 0.06)
    well_inside = gaussian_filter(tissue.ground, 4) > 0.8
    return Sections(he, ihc, he_mpp, ihc_mpp, to_ihc, tissue.places()[well_inside.ravel()])


def smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], microns: float) -> Array:
    """Noise of unit variance on the grid, smooth over that many microns."""
    smooth = gaussian_filter(rng.normal(size=shape), microns / _GRID / 2, mode="wrap")
    return np.asarray(smooth / smooth.std())


def _quarters(places: Array) -> Array:
    """Four points in each square, so that a turned square leaves no gaps."""
    steps = np.array([(-2.5, -2.5), (2.5, -2.5), (-2.5, 2.5), (2.5, 2.5)])
    return np.asarray((places[:, None] + steps).reshape(-1, 2))


def _landed(points: Array, size: tuple[float, float]) -> Array:
    """The grid's squares that points lie in, on a slide of that size, 0 or 1."""
    columns, rows = (int(side / _GRID) for side in size)
    counts = _counts(points, rows, columns, _GRID)
    return np.asarray(gaussian_filter(counts, 0.7) > 1.5, dtype=np.float64)


def _counts(points: Array, rows: int, columns: int, step: float) -> Array:
    """Points in each square of a grid (rows, columns); those outside are left out."""
    x, y = np.floor(points / step).astype(np.int64).T
    inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
    counts = np.bincount(y[inside] * columns + x[inside], minlength=rows * columns)
    return np.asarray(counts.reshape(rows, columns), dtype=np.float64)


def _picture(
    rng: np.random.Generator,
    nuclei: Array,
    ground: Array,
    size: tuple[float, float],
    mpp: float,
    second: tuple[float, ...],
    amount: float,
) -> RGB:
    """Nuclei in haematoxylin on tissue that is patchy in the second stain."""
    columns, rows = (int(side / mpp) for side in size)
    sigma = _NUCLEUS_UM / mpp
    dots = gaussian_filter(_counts(nuclei, rows, columns, mpp).astype(np.float32), sigma)
    haematoxylin = np.minimum(dots * (2 * np.pi * sigma**2) * 0.55, 0.9)
    at = np.meshgrid(
        (np.arange(rows) + 0.5) * mpp / _GRID - 0.5, (np.arange(columns) + 0.5) * mpp / _GRID - 0.5, indexing="ij"
    )
    here = map_coordinates(ground.astype(np.float32), at, order=1, mode="nearest")
    patches = smooth_noise(rng, ground.shape, 80).astype(np.float32)
    patchy = 1 + 0.5 * map_coordinates(patches, at, order=1, mode="nearest")
    stains = np.stack([haematoxylin + 0.04 * here, amount * here * np.clip(patchy, 0.2, 3)], axis=-1)
    light = 0.95 * 255 * compose(stains.astype(np.float32), (HEMATOXYLIN, second))
    light += 2 * rng.standard_normal((rows, columns, 1), np.float32)
    return np.asarray(np.rint(light.clip(0, 255)).astype(np.uint8))
