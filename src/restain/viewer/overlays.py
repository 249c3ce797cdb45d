"""Overlays: a quantity at every pixel of a picture, drawn through a colour map whose legend can be read back."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from restain.images import RGB
from restain.stains import DAB, EOSIN, HEMATOXYLIN, Floats, optical_density, stain_matrix
from restain.viewer.pictures import Role

_WARM = ((255, 236, 139), (255, 170, 60), (236, 76, 41), (158, 14, 64), (64, 4, 52))  # from low to high
_COOL = ((190, 240, 255), (104, 190, 250), (62, 120, 230), (50, 56, 180), (28, 16, 92))
_EVEN = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))  # viridis at 0, 1/4 ... 1
_FADES = (0.06, 0.25)  # of the range: nothing is drawn up to the first, so that glass stays clear; all from the second
_MOST_OPAQUE = 230


@dataclass(frozen=True)
class ColourMap:
    """A quantity from ``low`` to ``high`` in 256 colours; what lies outside takes the colour of the nearer end.

    Attributes:
        key: what the page calls the overlay in addresses.
        title: what the page calls it on the screen.
        unit: of the quantity.
        low: value of the first colour.
        high: value of the last.
        anchors: RGB of equally spaced values, interpolated between.
        fades: whether low values are transparent.
    """

    key: str
    title: str
    unit: str
    low: float
    high: float
    anchors: tuple[tuple[int, int, int], ...]
    fades: bool = True

    @cached_property
    def colours(self) -> npt.NDArray[np.uint8]:
        """uint8 (256, 4): red, green, blue and alpha."""
        at = np.linspace(0, 1, 256)
        knots = np.linspace(0, 1, len(self.anchors))
        anchors = np.asarray(self.anchors, dtype=np.float64)
        colours = [np.interp(at, knots, anchors[:, channel]) for channel in range(3)]
        alpha = np.interp(at, _FADES, (0, 1)) if self.fades else np.ones(256)
        return np.asarray(np.rint(np.stack([*colours, alpha * _MOST_OPAQUE], axis=-1)), np.uint8)

    def indices(self, values: Floats) -> npt.NDArray[np.uint8]:
        """Which of the 256 colours shows each value; the colour k stands for low + k (high - low) / 255."""
        steps = (values - self.low) * (255 / (self.high - self.low))
        return np.asarray(np.rint(np.clip(steps, 0, 255)), np.uint8)

    def encode(self, values: Floats) -> bytes:
        """A PNG with this palette, of the size of ``values``."""
        image = Image.fromarray(self.indices(values), mode="P")
        image.putpalette(self.colours[:, :3].tobytes())
        held = io.BytesIO()
        image.save(held, "PNG", transparency=self.colours[:, 3].tobytes(), compress_level=1)
        return held.getvalue()

    def legend(self) -> dict[str, object]:
        """What the page needs to draw the legend: 32 colours of the ramp, and the values of its ends."""
        ramp = [f"rgb({red} {green} {blue})" for red, green, blue, _ in self.colours[:: 255 // 31][:32].tolist()]
        return {
            "key": self.key,
            "title": self.title,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "colours": ramp,
        }


_STAINS = {
    "dab": ColourMap("dab", "DAB", "optical density", 0.0, 1.5, _WARM),
    "haematoxylin": ColourMap("haematoxylin", "haematoxylin", "optical density", 0.0, 1.2, _COOL),
}


def stain_overlays(role: Role) -> tuple[ColourMap, ...]:
    """Stains that a picture can be separated into: an H&E has no DAB."""
    return (_STAINS["haematoxylin"],) if role == "he" else tuple(_STAINS.values())


def stain_amount(rgb: RGB, key: str, role: Role) -> Floats:
    """Optical density along one stain, by deconvolution with the H&E or the H-DAB vectors (``restain.stains``).

    Args:
        rgb: uint8 (height, width, 3).
        key: dab or haematoxylin.
        role: of the picture; it says which other stain there is.

    Returns:
        float32 (height, width).
    """
    other = EOSIN if role == "he" else DAB
    unmix = np.linalg.inv(stain_matrix(HEMATOXYLIN, other))[:, 1 if key == "dab" else 0]
    grey = optical_density(np.arange(256, dtype=np.uint8))
    red, green, blue = ((grey * weight).astype(np.float32) for weight in unmix)  # one term of the sum for each level
    return np.asarray(red[rgb[..., 0]] + green[rgb[..., 1]] + blue[rgb[..., 2]])


def map_colours(key: str, title: str, unit: str, low: float, high: float) -> ColourMap:
    """The colour map of a map that a slide carries."""
    return ColourMap(key, title, unit, low, high, _EVEN, fades=False)
