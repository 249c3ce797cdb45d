"""Classical colour transfer: give one image the colour statistics of others. A baseline that learns nothing.

Source: Reinhard, Ashikhmin, Gooch and Shirley, "Color transfer between images", IEEE Comput. Graph. Appl. 21 (2001);
in CIE L*a*b* (D65) instead of the paper's lαβ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from skimage.color import lab2rgb, rgb2lab

from restain.errors import RestainError
from restain.images import RGB

Lab: TypeAlias = npt.NDArray[np.float32]  # (H, W, 3): L* 0..100, a*, b*


@dataclass(frozen=True)
class LabStatistics:
    """Mean and population standard deviation of L*, a*, b* over ``count`` pixels."""

    count: int
    mean: npt.NDArray[np.float64]  # (3,)
    std: npt.NDArray[np.float64]  # (3,)


def lab_statistics(images: Iterable[RGB]) -> LabStatistics:
    """Statistics over all pixels of all images, one image in memory at a time.

    Args:
        images: uint8 arrays (H, W, 3), of any sizes.
    """
    return pool_statistics(_of_pixels(_to_lab(rgb)) for rgb in images)


def pool_statistics(parts: Iterable[LabStatistics]) -> LabStatistics:
    """Statistics of the union of disjoint sets of pixels; RestainError where there is none.

    Source: Chan, Golub and LeVeque (1979), the pairwise update, which does not cancel.
    """
    count, mean, squares = 0, np.zeros(3), np.zeros(3)
    for part in parts:
        total = count + part.count
        shift = part.mean - mean
        squares = squares + part.count * part.std**2 + shift**2 * (count * part.count / total)
        mean = mean + shift * (part.count / total)
        count = total
    if not count:
        raise RestainError("colour transfer: no reference image was given; expected at least one")
    return LabStatistics(count, mean, np.sqrt(squares / count))


def transfer_colour(rgb: RGB, statistics: LabStatistics) -> RGB:
    """Shift and scale L*, a*, b* of an image to the given means and standard deviations.

    Args:
        rgb: uint8 (H, W, 3); a channel without any spread is only shifted.
        statistics: the target.

    Returns:
        uint8 (H, W, 3); colours outside sRGB are clipped, so the statistics are met up to clipping and rounding.
    """
    lab = _to_lab(rgb)
    own = _of_pixels(lab)
    scale = np.divide(statistics.std, own.std, out=np.ones(3), where=own.std > 1e-6)
    moved = lab * scale.astype(np.float32) + (statistics.mean - own.mean * scale).astype(np.float32)
    return np.asarray(np.round(np.clip(_to_rgb(moved), 0.0, 1.0) * 255.0).astype(np.uint8))


def _to_lab(rgb: RGB) -> Lab:
    return np.asarray(rgb2lab(rgb.astype(np.float32) / np.float32(255)))


def _to_rgb(lab: Lab) -> Lab:
    # No light is darker than black, and beyond this b* the tristimulus value Z would be negative.
    lightness = np.maximum(lab[..., 0], 0)
    yellow = np.minimum(lab[..., 2], (lightness + 16) * np.float32(200 / 116 * (1 - 1e-5)))
    lab = np.stack([lightness, lab[..., 1], yellow], axis=-1)
    return np.asarray(lab2rgb(lab))


def _of_pixels(lab: Lab) -> LabStatistics:
    pixels = lab.reshape(-1, 3)
    return LabStatistics(len(pixels), pixels.mean(axis=0, dtype=np.float64), pixels.std(axis=0, dtype=np.float64))
