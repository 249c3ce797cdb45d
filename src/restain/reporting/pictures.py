"""Images made small enough for a page and turned into data URIs, so that the page needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from restain.errors import RestainError
from restain.images import RGB

Grey = npt.NDArray[np.uint8]  # (H, W), 0..255


def shrink(rgb: RGB, limit: int) -> RGB:
    """Scale down so that the longer side has at most ``limit`` pixels; never up. uint8 (H, W, 3) in and out."""
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
        with Image.open(path) as image:
            image.load()
            mode, pixels = image.mode, np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise RestainError(f"{path}: cannot be read as an image ({error})") from error
    if mode != "L":
        raise RestainError(f"{path}: has mode {mode}; expected an 8-bit grey attention map")
    return pixels


def overlay(rgb: RGB, attention: Grey) -> RGB:
    """Magma-coloured attention over the greyed tissue; the colour grows denser where attention is high.

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
    opacity = 0.45 + 0.3 * weight[..., None]
    blended = (1.0 - opacity) * tissue + opacity * colour
    return np.asarray(blended.round().clip(0, 255), dtype=np.uint8)


def colour_bar(width: int = 256, height: int = 12) -> RGB:
    """The magma scale from least (left) to most attended (right); uint8 (height, width, 3)."""
    ramp = matplotlib.colormaps["magma"](np.linspace(0.0, 1.0, width))[:, :3]
    return np.asarray(np.tile((ramp * 255).round().astype(np.uint8), (height, 1, 1)))
