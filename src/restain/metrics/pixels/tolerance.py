"""SSIM that forgives a shift: consecutive sections are never registered to the pixel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from restain.images import RGB
from restain.metrics.measures import MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.pixels.similarity import WANG
from restain.metrics.pixels.windows import (
    WindowMoments,
    moments,
    moments_under,
    shifted,
    ssim_terms,
    terms_under,
    to_planes,
    window_means,
)
from restain.metrics.protocols import GAUSSIAN_11, SsimSettings
from restain.stains import Floats

REACH = 8  # pixels at full size, 4 µm at 0.5 µm per pixel: about the residue of a registration of consecutive sections
_BLOCK = 8  # pixels: side of the windows by which all shifts are compared
_CANDIDATES = 4  # best shifts by block SSIM that are then measured under the protocol
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class TolerantSsim:
    """The best SSIM over small shifts, and where it was found.

    Attributes:
        value: SSIM in [-1, 1], never below ``unshifted``.
        unshifted: SSIM of the same common area without a shift.
        dy: pixels; the virtual stain's pixel (y + dy, x + dx) was compared with the real one's (y, x).
        dx: pixels.
    """

    value: float
    unshifted: float
    dy: float
    dx: float


def tolerant_ssim(real: RGB, fake: RGB, settings: SsimSettings = GAUSSIAN_11, reach: int = REACH) -> TolerantSsim:
    """The best SSIM over integer shifts of the virtual stain by up to ``reach`` pixels each way.

    The real image loses ``reach`` pixels at every border, so that all shifts are measured on the same area. All
    (2 reach + 1)² shifts are compared exactly, but on grey levels and a grid of 8x8 windows; the best four of them and
    the zero shift are then measured as ``ssim`` does. docs/metrics.md says how often that misses the best of all.

    Args:
        real: uint8 (H, W, 3), sides at least 2 reach + the larger of 8 and ``settings.size``.
        fake: uint8 of the same shape.
        settings: of SSIM.
        reach: largest shift, pixels per axis.

    Returns:
        The value and the shift; all NaN where the image is too small.
    """
    if min(real.shape[:2]) < 2 * reach + max(_BLOCK, settings.size):
        return TolerantSsim(*4 * [float("nan")])
    first, second = (moments(to_planes(rgb), settings) for rgb in (real, fake))
    whole = ssim_terms(first, second, window_means(first.planes * second.planes, settings), settings)
    return _best_shift(real, fake, first, second, whole, settings, reach)


def _best_shift(
    real: RGB,
    fake: RGB,
    of_real: WindowMoments,
    of_fake: WindowMoments,
    unshifted: tuple[Floats, Floats],
    settings: SsimSettings,
    reach: int,
) -> TolerantSsim:
    """The best shift, from the moments of both images and their SSIM terms without a shift."""
    height, width = (side - 2 * reach for side in real.shape[:2])
    shifts = sorted(
        product(range(-reach, reach + 1), repeat=2), key=lambda shift: (shift[0] ** 2 + shift[1] ** 2, shift)
    )
    grey = _grey(real[reach : reach + height, reach : reach + width])
    coarse = _block_ssim(grey, _grey(fake), [(dy + reach, dx + reach) for dy, dx in shifts])
    best = np.argsort(-coarse, kind="stable")[:_CANDIDATES]
    core = shifted(of_real, reach, reach, height, width, settings.size)
    inner = np.s_[..., reach : reach + height - settings.size + 1, reach : reach + width - settings.size + 1]
    values = {(0, 0): float((unshifted[0][inner] * unshifted[1][inner]).mean())}
    for dy, dx in (shifts[index] for index in best if shifts[index] != (0, 0)):
        moved = shifted(of_fake, reach + dy, reach + dx, height, width, settings.size)
        luminance, structure = ssim_terms(core, moved, window_means(core.planes * moved.planes, settings), settings)
        values[dy, dx] = float((luminance * structure).mean())
    shift = max(values, key=lambda place: values[place])  # the zero shift wins a draw: it comes first
    return TolerantSsim(values[shift], values[0, 0], *shift)


def _grey(rgb: RGB) -> Floats:
    """Grey levels, float32 (H, W)."""
    return np.asarray(rgb.astype(np.float32) @ _LUMA)


def _block_ssim(core: Floats, around: Floats, offsets: list[tuple[int, int]]) -> Floats:
    """SSIM over 8x8 windows side by side of ``core`` (h, w) against ``around`` from each offset (row, column)."""
    rows, columns = core.shape[0] // _BLOCK, core.shape[1] // _BLOCK
    core = np.ascontiguousarray(core[: rows * _BLOCK, : columns * _BLOCK], dtype=np.float32)
    mean, square = _tile_means(core), _tile_means(core * core)
    means, squares = _sliding_mean(around), _sliding_mean(around * around)
    c1, c2 = np.float32((0.01 * 255) ** 2), np.float32((0.03 * 255) ** 2)
    products = np.empty_like(core)
    values = []
    for top, left in offsets:
        moved = around[top : top + rows * _BLOCK, left : left + columns * _BLOCK]
        grid = np.s_[top : top + rows * _BLOCK : _BLOCK, left : left + columns * _BLOCK : _BLOCK]
        other, both = means[grid], _tile_means(np.multiply(core, moved, out=products))
        variances = square - mean * mean + squares[grid] - other * other
        luminance = (2 * mean * other + c1) / (mean * mean + other * other + c1)
        values.append(np.mean(luminance * (2 * (both - mean * other) + c2) / (variances + c2)))
    return np.array(values)


def _tile_means(values: Floats) -> Floats:
    """Means of tiles of 8x8 pixels: (8 r, 8 c) -> (r, c)."""
    rows = values.reshape(-1, _BLOCK, values.shape[1]).sum(axis=1)
    ones = np.ones(_BLOCK, dtype=values.dtype)
    return np.asarray(rows.reshape(len(rows), -1, _BLOCK) @ ones / _BLOCK**2)


def _sliding_mean(values: Floats) -> Floats:
    """Mean of the 8x8 window that starts at each pixel where one fits: (H - 7, W - 7), float32."""
    sums = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1, out=sums[1:, 1:])
    boxes = sums[_BLOCK:, _BLOCK:] - sums[:-_BLOCK, _BLOCK:] - sums[_BLOCK:, :-_BLOCK] + sums[:-_BLOCK, :-_BLOCK]
    return np.asarray((boxes / _BLOCK**2).astype(np.float32))


def _measure(pair: MeasuredPair) -> tuple[float, float, float]:
    real, fake, settings = pair.real.rgb, pair.fake.rgb, pair.protocol.ssim
    if min(real.shape[:2]) < 2 * REACH + max(_BLOCK, settings.size):
        return float("nan"), float("nan"), float("nan")
    of_real, of_fake = (image.once(moments_under(settings)) for image in (pair.real, pair.fake))
    best = _best_shift(real, fake, of_real, of_fake, pair.once(terms_under(settings)), settings, REACH)
    return best.value, best.dy, best.dx


_SHIFT = PairMeasure(names=("ssim_shift", "ssim_shift_y", "ssim_shift_x"), function=_measure)
_TOO_SMALL = "the images are too small for shifts of 8 pixels"

SSIM_SHIFT = Metric(
    name="ssim_shift",
    direction="higher",
    definition="best structural similarity over shifts of up to 8 pixels each way, on their common area",
    source=f"{WANG}; the search is our own",
    measures=(_SHIFT,),
    columns=("ssim_shift",),
    family="pixels",
    range="[-1, 1]",
    weakness="forgives a shift, not a rotation or another section; rewards what is blank as SSIM does",
    undefined=_TOO_SMALL,
)
SSIM_SHIFT_PX = Metric(
    name="ssim_shift_px",
    unit="px",
    direction="none",
    definition="length of the shift at which ssim_shift is found",
    source="own",
    measures=(_SHIFT,),
    columns=("ssim_shift_y", "ssim_shift_x"),
    combine=np.hypot,
    family="pixels",
    range="[0, 11.3]",
    weakness="near 8 the best shift may lie beyond the search; means nothing where SSIM is low at every shift",
    undefined=_TOO_SMALL,
)
