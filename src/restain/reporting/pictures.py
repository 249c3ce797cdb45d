"""Images made small enough for a page and turned into data URIs, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from restain.errors import RestainError, in_short
from restain.images import RGB, open_picture

SCALE_BARS = (5000, 2000, 1000, 500, 200, 100, 50, 20, 10, 5)  # microns

Grey: TypeAlias = npt.NDArray[np.uint8]  # (H, W), 0..255


@dataclass(frozen=True)
class Picture:
    """An embedded image with its words; without an ``uri``, ``caption`` says why it cannot be shown."""

    caption: str
    alt: str
    uri: str = ""
    scale: tuple[int, float] | None = None  # (microns, percent of the width)
    mpp: float | None = None  # microns per pixel of the embedded image


def shrink(rgb: RGB, limit: int) -> RGB:
    """Scale down, never up, to at most ``limit`` pixels on the longer side; uint8 (H, W, 3) in and out."""
    height, width = rgb.shape[:2]
    scale = limit / max(height, width)
    if scale >= 1:
        return rgb
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.LANCZOS))


def jpeg_uri(rgb: RGB, quality: int = 90) -> str:
    """JPEG with full-resolution colour (4:4:4; thin brown membranes smear at 4:2:0) as a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, format="JPEG", quality=quality, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def svg_uri(svg: str) -> str:
    """An SVG drawing as a data URI."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode("utf-8")).decode("ascii")


def read_grey(path: Path) -> Grey:
    """Read an 8-bit grey map, shape (H, W).

    Raises:
        RestainError: the file cannot be read or is not an 8-bit grey image.
    """
    try:
        with open_picture(path) as image:
            image.load()
            mode, pixels = image.mode, np.asarray(image)
    except RestainError:
        raise
    except Exception as error:  # as in read_rgb
        raise RestainError(f"{path}: cannot be read as an image ({in_short(error)})") from error
    if mode != "L":
        raise RestainError(f"{path}: has mode {mode}; expected an 8-bit grey attention map")
    return pixels


def overlay(rgb: RGB, attention: Grey) -> RGB:
    """Magma-coloured attention over greyed tissue, in the same shares everywhere so that colours compare.

    Args:
        rgb: tissue, uint8 (H, W, 3).
        attention: uint8 (h, w) of any size, 255 = most attended; interpolated to (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    height, width = rgb.shape[:2]
    scaled = Image.fromarray(attention).resize((width, height), Image.Resampling.BILINEAR)
    weight = np.asarray(scaled, dtype=np.float64) / 255.0
    colour = matplotlib.colormaps["magma"](weight)[..., :3] * 255.0
    tissue = np.asarray(Image.fromarray(rgb).convert("L"), dtype=np.float64)[..., None]
    blended = 0.35 * tissue + 0.65 * colour
    return np.asarray(blended.round().clip(0, 255), dtype=np.uint8)


def colour_bar(width: int = 256, height: int = 12) -> RGB:
    """The magma scale from least (left) to most attended (right); uint8 (height, width, 3)."""
    ramp = matplotlib.colormaps["magma"](np.linspace(0.0, 1.0, width))[:, :3]
    return np.asarray(np.tile((ramp * 255).round().astype(np.uint8), (height, 1, 1)))


def scale_bar(width: int, mpp: float | None) -> tuple[int, float] | None:
    """The longest round length of at most 30 % of an image's width: (microns, percent of the width)."""
    if mpp is None:
        return None
    for microns in SCALE_BARS:
        percent = 100.0 * microns / (mpp * width)
        if percent <= 30.0:
            return microns, percent
    return None
