"""Pairs of consecutive sections on two slides, drawn cheaply, whose transform is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from restain.images import RGB
from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose

_GRID = 10.0  # µm between samples of the smooth fields


@dataclass(frozen=True)
class Sections:
    """Two slides, and where an H&E place (n, 2) in microns is found on the IHC."""

    he: RGB
    ihc: RGB
    he_mpp: float
    ihc_mpp: float
    to_ihc: Callable[[np.ndarray], np.ndarray]
    tissue: np.ndarray  # (n, 2) places on tissue in both, microns of the H&E


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
    """Draw one section of irregular outline and the next one, turned by ``angle`` degrees, mirrored, shifted, warped.

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
    width, height = size
    shape = int(height / _GRID), int(width / _GRID)
    y, x = np.mgrid[: shape[0], : shape[1]] * _GRID
    wave = _noise(rng, shape, 350 / _GRID)
    rim = np.minimum(np.minimum(x, width - x) / width, np.minimum(y, height - y) / height)
    inside = rim + 0.05 * wave > 0.17
    density = np.exp(0.8 * _noise(rng, shape, 60 / _GRID) + 0.6 * _noise(rng, shape, 18 / _GRID))
    lumen = _noise(rng, shape, 40 / _GRID) > 1.6
    density = density * inside * ~lumen
    flow = [warp * _noise(rng, shape, 350 / _GRID) for _ in range(2)]

    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([-1 if mirror else 1, 1])
    ihc_size = np.abs(matrix) @ size + 100
    if control:
        ihc_size = ihc_size + (700, 0)
    middle, target = np.array(size) / 2, (np.abs(matrix) @ size + 100) / 2 + shift

    def to_ihc(points: np.ndarray) -> np.ndarray:
        at = (points[:, 1] / _GRID, points[:, 0] / _GRID)
        moved = points + np.stack([map_coordinates(one, at, order=1, mode="nearest") for one in flow], axis=1)
        return (moved - middle) @ matrix.T + target

    def nuclei(count: int) -> np.ndarray:
        points = rng.uniform((0, 0), size, (count, 2))
        here = density[tuple(np.minimum((points[:, ::-1] / _GRID).astype(int), np.array(shape) - 1).T)]
        return points[rng.uniform(0, 6, count) < here]

    count = int(width * height / 25)
    shared, own, other = nuclei(int(count * (1 - turnover))), nuclei(int(count * turnover)), nuclei(int(count * turnover))
    he_ground = inside & ~lumen
    gy, gx = np.mgrid[: int(ihc_size[1] / _GRID), : int(ihc_size[0] / _GRID)]
    corners = np.stack([x.ravel() + _GRID / 2, y.ravel() + _GRID / 2], 1)
    landed = to_ihc(np.repeat(corners[he_ground.ravel()], 4, 0) + np.tile([(-2.5, -2.5), (2.5, -2.5), (-2.5, 2.5), (2.5, 2.5)], (he_ground.sum(), 1)))
    ihc_ground = np.histogram2d(*(landed / _GRID).T, bins=(np.arange(gx.shape[1] + 1), np.arange(gx.shape[0] + 1)))[0].T
    ihc_ground = gaussian_filter(ihc_ground, 0.7) > 1.5
    ihc_nuclei = to_ihc(np.concatenate([shared, other]))
    if control:
        place = np.hypot(gx * _GRID - (ihc_size[0] - 400), gy * _GRID - ihc_size[1] / 2) < 300
        ihc_ground |= place
        extra = rng.uniform(-300, 300, (2500, 2))
        extra = extra[np.hypot(*extra.T) < 300] + (ihc_size[0] - 400, ihc_size[1] / 2)
        ihc_nuclei = np.concatenate([ihc_nuclei, extra])
    he = _picture(rng, np.concatenate([shared, own]), he_ground, size, he_mpp, EOSIN, 0.22)
    ihc = _picture(rng, ihc_nuclei, ihc_ground, tuple(ihc_size), ihc_mpp, DAB, 0.06)
    tissue = corners[(gaussian_filter((inside & ~lumen).astype(float), 4) > 0.8).ravel()]
    return Sections(he, ihc, he_mpp, ihc_mpp, to_ihc, tissue)


def _noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    smooth = gaussian_filter(rng.normal(size=shape), scale / 2, mode="wrap")
    return smooth / smooth.std()


def _picture(rng, nuclei, ground, size, mpp, second, amount) -> RGB:
    width, height = (int(side / mpp) for side in size)
    dots = np.histogram2d(nuclei[:, 1] / mpp, nuclei[:, 0] / mpp, bins=(np.arange(height + 1), np.arange(width + 1)))[0]
    sigma = 2.2 / mpp
    haematoxylin = gaussian_filter(dots.astype(np.float32), sigma) * (2 * np.pi * sigma**2) * 0.55
    rows = np.minimum((np.arange(height) + 0.5) * mpp / _GRID, ground.shape[0] - 1)
    columns = np.minimum((np.arange(width) + 0.5) * mpp / _GRID, ground.shape[1] - 1)
    here = map_coordinates(ground.astype(np.float32), np.meshgrid(rows - 0.5, columns - 0.5, indexing="ij"), order=1, mode="nearest")
    patchy = 1 + 0.5 * map_coordinates(_noise(rng, ground.shape, 8).astype(np.float32), np.meshgrid(rows, columns, indexing="ij"), order=1, mode="nearest")
    stains = np.stack([np.minimum(haematoxylin, 0.9) + 0.04 * here, amount * here * np.clip(patchy, 0.2, 3)], axis=-1)
    light = 0.95 * 255 * compose(stains.astype(np.float32), (HEMATOXYLIN, second))
    light += 2 * rng.standard_normal((height, width, 1), np.float32)
    return np.rint(light.clip(0, 255)).astype(np.uint8)
