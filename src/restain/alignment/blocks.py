"""Block matching: where the surroundings of a place in one picture are found in another.

Normalised cross-correlation over a tapered window, of pictures with one or several channels, by the Fourier transform
of many blocks at once. One order of coordinates: x before y.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from restain.stains import Floats

_PALE, _FLAT = 0.3, 0.06  # presence of tissue: mean and deviation below which a block is glass
_AT_ONCE = 2**21  # numbers in one batch of transforms: 16 MiB of complex values each


@dataclass(frozen=True)
class Matches:
    """What block matching found: ``moving`` at place + shift looks like ``fixed`` at place.

    Attributes:
        places: float64 (n, 2), x and y of the blocks' middles in pixels.
        shifts: float64 (n, 2), x and y in pixels, to a fraction of one.
        scores: float64 (n,), normalised cross-correlation at the best shift, -1 to 1.
        margins: float64 (n,), score less that of the best shift elsewhere (a quarter of a block or more away, or as far
            as the search reaches), so 0 where the match could be anywhere.
    """

    places: Floats
    shifts: Floats
    scores: Floats
    margins: Floats

    def __len__(self) -> int:
        return len(self.places)


def is_glass(presence: Floats) -> bool:
    """Whether a block of the presence of tissue, 0 to 1, is pale and even, as glass is; sparse tissue is uneven."""
    return bool(presence.mean() < _PALE and presence.std() < _FLAT)


def match_blocks(
    fixed: Floats, moving: Floats, corners: np.typing.NDArray[np.int_], block: int, radius: int
) -> Matches:
    """Find each block of ``fixed`` in ``moving``, not further than ``radius`` from the same place.

    Args:
        fixed: float32 (channels, height, width), each channel about zero in the mean of its surroundings (band-passed),
            0 where nothing is known.
        moving: the same of the other picture.
        corners: (n, 2), x and y of the blocks' first pixels; blocks lie within the picture.
        block: side in pixels.
        radius: largest shift looked for along each axis, pixels, at least 2.
    """
    reach = block + 2 * radius
    side = scipy.fft.next_fast_len(reach, real=True)
    window = np.outer(*(np.hanning(block + 2)[1:-1].astype(np.float32),) * 2)
    weight = np.conj(scipy.fft.rfft2(window, (side, side)))
    padded = np.pad(moving, ((0, 0), (radius, radius), (radius, radius)))
    batch = max(1, _AT_ONCE // (side * side * len(fixed)))
    shifts, scores, margins = [], [], []
    for start in range(0, len(corners), batch):
        chosen = corners[start : start + batch]
        near = np.stack([fixed[:, y : y + block, x : x + block] for x, y in chosen])  # (b, channels, block, block)
        wide = np.stack([padded[:, y : y + reach, x : x + reach] for x, y in chosen])
        pattern = np.conj(scipy.fft.rfft2(near * window, (side, side)))
        surface = scipy.fft.irfft2((pattern * scipy.fft.rfft2(wide, (side, side))).sum(axis=1), (side, side))
        squares = (wide**2).sum(axis=1)
        energy = scipy.fft.irfft2(weight * scipy.fft.rfft2(squares, (side, side)), (side, side))
        own = (near**2).sum(axis=1) * window
        cut = np.s_[:, : 2 * radius + 1, : 2 * radius + 1]
        floor = 1e-3 * np.maximum(squares.mean(axis=(1, 2)), 1e-12)[:, None, None] * window.sum()
        scale = np.sqrt(own.sum(axis=(1, 2))[:, None, None] * np.maximum(energy[cut], floor))
        for one in surface[cut] / np.maximum(scale, 1e-12):
            shift, score, margin = _peak(one, apart=max(2, min(block // 4, radius // 2)))
            shifts.append(shift - radius)
            scores.append(score)
            margins.append(margin)
    places = corners + (block - 1) / 2
    return Matches(places, np.array(shifts).reshape(-1, 2), np.array(scores), np.array(margins))


def block_corners(shape: tuple[int, int], block: int, stride: int) -> np.typing.NDArray[np.int_]:
    """Corners (n, 2), x and y, of blocks that cover a picture of (height, width) evenly, row by row."""
    axes = []
    for side in shape:
        count = max(1, -(-(side - block) // stride) + 1)
        axes.append(np.rint(np.linspace(0, side - block, count)).astype(np.int_))
    y, x = np.meshgrid(*axes, indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _peak(surface: Floats, apart: int) -> tuple[Floats, float, float]:
    """Highest place (x, y) to a fraction of a pixel, its height, and how far it rises over places ``apart`` from it."""
    y, x = (int(index) for index in np.unravel_index(int(surface.argmax()), surface.shape))
    place = np.array((x + vertex(surface[y], x), y + vertex(surface[:, x], y)))
    others = surface.copy()
    others[max(0, y - apart) : y + apart + 1, max(0, x - apart) : x + apart + 1] = -1
    height = float(surface[y, x])
    return place, height, height - float(others.max())


def vertex(line: Floats, top: int) -> float:
    """Offset of the vertex of the parabola through a maximum and its two neighbours; 0 at either end."""
    if not 0 < top < len(line) - 1:
        return 0.0
    before, at, after = (float(value) for value in line[top - 1 : top + 2])
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0
