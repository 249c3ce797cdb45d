"""What a user may choose about virtual tissue."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from restain.errors import RestainError


@dataclass(frozen=True, kw_only=True)
class Consecutive:
    """How the IHC section differs from the H&E section when the two are cut one after the other.

    Attributes:
        warp: largest displacement by smooth deformation, pixels per axis, 0..32.
        shift: largest translation, pixels per axis.
        rotation: largest rotation about the field's centre, degrees, 0..45.
        turnover: fraction of the cells that are others than in the H&E section, 0..1.
    """

    warp: float = 6.0
    shift: float = 12.0
    rotation: float = 2.0
    turnover: float = 0.3

    def __post_init__(self) -> None:
        # A steeper warp would fold the section over itself.
        _check("warp", self.warp, 0.0, 32.0)
        _check("shift", self.shift, 0.0, 1e4)
        _check("rotation", self.rotation, 0.0, 45.0)
        _check("turnover", self.turnover, 0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class PhantomOptions:
    """Everything about a virtual data set that has a sensible default.

    Attributes:
        mpp: microns per pixel, 0.1..4; tissue is defined in microns and follows it.
        val_fraction: share of the slides that go to the validation split, 0..1; a slide is never in both.
        slide: make one large image pair as tiled TIFF in place of fields.
        jpeg_quality: 1..100 for JPEG images (TIFF tiles of a slide); None for lossless.
        blur: standard deviation of the scanner's point spread, pixels, 0..8.
        noise: standard deviation of the scanner's noise on white, grey levels of 255, 0..64.
        consecutive: the two images are of consecutive sections; None for one section stained twice.
        laboratory: which laboratory stained the H&E; all but 0 differ from it more than its slides do among each other,
            in colour, strength and white. The IHC is the same for all of them.
    """

    mpp: float = 0.5
    val_fraction: float = 0.2
    slide: bool = False
    jpeg_quality: int | None = None
    blur: float = 0.6
    noise: float = 2.0
    consecutive: Consecutive | None = None
    laboratory: int = 0

    def __post_init__(self) -> None:
        _check("mpp", self.mpp, 0.1, 4.0)
        _check("laboratory", self.laboratory, 0, 1e6)
        _check("val_fraction", self.val_fraction, 0.0, 1.0)
        _check("blur", self.blur, 0.0, 8.0)
        _check("noise", self.noise, 0.0, 64.0)
        if self.jpeg_quality is not None:
            _check("jpeg_quality", self.jpeg_quality, 1, 100)


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (isfinite(value) and low <= value <= high):
        raise RestainError(f"{name}: {value} is out of range; expected {low:g} to {high:g}")
