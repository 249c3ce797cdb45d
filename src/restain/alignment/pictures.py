"""How far an IHC image lies from its H&E: shift and rotation, read off the nuclei that both stains show.

Both images are reduced to their haematoxylin (Ruifrok deconvolution), band-passed to the size of nuclei and
windowed. A whitened cross-correlation over the whole image gives the coarse shift; plain cross-correlations over
overlapping blocks around it give local shifts, and a robust fit over the blocks gives shift and rotation. The
share of blocks that agree with the fit is the confidence. Phase correlation: Kuglin and Hines, "The phase
correlation image alignment method", Proc. Int. Conf. Cybernetics and Society (1975).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

from restain.images import RGB
from restain.stains import DAB, EOSIN, HEMATOXYLIN, Floats, separate

WORKING_SIDE = 512  # images are reduced to about this longer side; nuclei are then still several pixels wide
SMALLEST_SIDE = 64  # below, a block holds too few nuclei
BAND = (2.0, 8.0)  # standard deviations of the difference of Gaussians, in working pixels


@dataclass(frozen=True)
class Alignment:
    """The rigid motion that carries the IHC onto the H&E, in pixels of the images.

    A structure at row y, column x of the IHC is found at (y + shift_y, x + shift_x) of the H&E in the middle of the
    image. ``rotation`` is in degrees about the middle, counter-clockwise on the screen. ``displacement`` is
    the mean length of the blocks' own shifts; it holds warp as well. ``confidence`` is the weighted share (0 to
    1) of blocks within 1/24 of a block of the fit: near 0.1 for images that have nothing in common.
    """

    shift_y: float
    shift_x: float
    rotation: float
    displacement: float
    confidence: float


def estimate_alignment(he: RGB, ihc: RGB) -> Alignment | None:
    """Estimate the motion from IHC to H&E.

    Args:
        he: H&E, uint8 (H, W, 3).
        ihc: IHC with haematoxylin counterstain, uint8 (H, W, 3), the same size.

    Returns:
        The motion, or ``None`` where the images are too small or one of them shows no structure. Shifts of up to
        an eighth of the shorter side can be found.
    """
    if min(he.shape[:2]) < SMALLEST_SIDE:
        return None
    scale = max(1, round(max(he.shape[:2]) / WORKING_SIDE))
    fixed = _nuclei(separate(he, HEMATOXYLIN, EOSIN)[..., 0], scale)
    moving = _nuclei(separate(ihc, HEMATOXYLIN, DAB)[..., 0], scale)
    if min(fixed.std(), moving.std()) < 1e-3:
        return None
    window = _window(fixed.shape)
    coarse, _ = _peak(_correlate(fixed * window, moving * window, whitening=0.5), min(fixed.shape) // 8)
    block = max(32, min(fixed.shape) // 4)
    places, shifts, weights = _block_shifts(fixed, moving, np.rint(coarse).astype(int), block)
    motion, residuals = _fit_rigid(places, shifts, weights, tolerance=block / 42)
    agree = residuals < block / 24
    return Alignment(
        shift_y=float(motion[0]) * scale,
        shift_x=float(motion[1]) * scale,
        rotation=float(np.degrees(motion[2])),
        displacement=float(np.average(np.hypot(*shifts.T), weights=weights)) * scale,
        confidence=float(weights[agree].sum() / weights.sum()),
    )


def _nuclei(haematoxylin: Floats, scale: int) -> Floats:
    height, width = (side // scale for side in haematoxylin.shape)
    cells = haematoxylin[: height * scale, : width * scale].reshape(height, scale, width, scale)
    small = cells.mean(axis=(1, 3))
    return np.asarray(gaussian_filter(small, BAND[0]) - gaussian_filter(small, BAND[1]))


def _window(shape: tuple[int, ...]) -> Floats:
    """Hann window without its zero border, float32."""
    rows, columns = (np.hanning(side + 2)[1:-1].astype(np.float32) for side in shape)
    return np.outer(rows, columns)


def _correlate(fixed: Floats, moving: Floats, whitening: float) -> Floats:
    """Circular cross-correlation; ``whitening`` 0 leaves the spectrum, 1 is phase correlation."""
    spectrum = scipy.fft.rfft2(fixed) * np.conj(scipy.fft.rfft2(moving))
    if whitening:
        size = np.abs(spectrum)
        spectrum /= np.maximum(size, 1e-6 * size.max()) ** whitening
    return np.asarray(scipy.fft.irfft2(spectrum, fixed.shape))


def _peak(surface: Floats, radius: int) -> tuple[Floats, float]:
    """Highest place within ``radius`` of zero shift, to a fraction of a pixel, and its height in deviations."""
    near = np.roll(surface, (radius, radius), (0, 1))[: 2 * radius + 1, : 2 * radius + 1]
    row, column = np.unravel_index(int(near.argmax()), near.shape)
    sharpness = float((near[row, column] - near.mean()) / max(float(near.std()), 1e-12))
    place = (row + _vertex(near[:, column], int(row)), column + _vertex(near[row], int(column)))
    return np.array(place) - radius, sharpness


def _vertex(line: Floats, top: int) -> float:
    """Offset of the vertex of the parabola through a maximum and its two neighbours."""
    if not 0 < top < len(line) - 1:
        return 0.0
    before, at, after = (float(value) for value in line[top - 1 : top + 2])
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def _block_shifts(
    fixed: Floats, moving: Floats, coarse: np.typing.NDArray[np.int_], block: int
) -> tuple[Floats, Floats, Floats]:
    """Local shifts: places (n, 2) relative to the middle, shifts (n, 2) and weights (n,), rows before columns."""
    window = _window((block, block))
    limit = np.array(fixed.shape) - block
    places, shifts, weights = [], [], []
    for top in range(0, limit[0] + 1, block // 2):
        for left in range(0, limit[1] + 1, block // 2):
            corner = np.array((top, left))
            partner = np.clip(corner - coarse, 0, limit)
            surface = _correlate(_cut(fixed, corner, block) * window, _cut(moving, partner, block) * window, 0)
            shift, sharpness = _peak(surface, block // 8)
            places.append(corner + block / 2 - np.array(fixed.shape) / 2)
            shifts.append(shift + corner - partner)
            weights.append(max(sharpness, 0.1) ** 2)
    return np.array(places), np.array(shifts), np.array(weights)


def _cut(image: Floats, corner: np.typing.NDArray[np.int_], block: int) -> Floats:
    return image[corner[0] : corner[0] + block, corner[1] : corner[1] + block]


def _fit_rigid(places: Floats, shifts: Floats, weights: Floats, tolerance: float) -> tuple[Floats, Floats]:
    """Fit shift = (y, x) + angle * (-place_x, place_y) by least squares with Cauchy weights, six rounds.

    Returns:
        (y, x, angle in radians), and the distance of each block's shift from the fit.
    """
    count = len(places)
    design = np.zeros((2 * count, 3))
    design[:count, 0] = design[count:, 1] = 1
    design[:count, 2], design[count:, 2] = -places[:, 1], places[:, 0]
    wanted = shifts.T.ravel()
    trust = weights
    for _ in range(6):
        root = np.sqrt(np.tile(trust, 2))
        motion = np.linalg.lstsq(design * root[:, None], wanted * root, rcond=None)[0]
        residuals = np.hypot(*(wanted - design @ motion).reshape(2, count))
        trust = weights / (1 + (residuals / tolerance) ** 2)
    return motion, residuals
