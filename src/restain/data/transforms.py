"""Crops, flips and turns, drawn once and applied to both images of a pair; the enlargement before them; colours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from restain.errors import RestainError
from restain.images import RGB
from restain.stains import EOSIN, HEMATOXYLIN, compose, separate, stain_matrix

_GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as PIL and torchvision


@dataclass(frozen=True)
class Crop:
    """A square window, whether it is mirrored left to right, and by how many quarters it is then turned."""

    top: int
    left: int
    size: int
    flip: bool
    turns: int = 0  # counter-clockwise

    def apply(self, rgb: RGB) -> RGB:
        """Cut the window out of (H, W, 3); returns (size, size, 3)."""
        window = rgb[self.top : self.top + self.size, self.left : self.left + self.size]
        return np.ascontiguousarray(np.rot90(window[:, ::-1] if self.flip else window, self.turns))


@dataclass(frozen=True)
class Jitter:
    """How much the colours of an image may vary, each as a share: 0.3 is a factor from 0.7 to 1.3."""

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    stain: float = 0.0

    def apply(self, rgb: RGB, rng: np.random.Generator) -> RGB:
        """Change the stain, then brightness, contrast and saturation, by factors drawn uniformly.

        The stain has one factor for haematoxylin and one for eosin (Tellez et al. 2018, without their shift). The other
        three come in an order that is drawn, too: contrast is the distance from the mean grey of the image, saturation
        that from the grey of the pixel; grey levels are cut off at 0 and 255 after each. An image (H, W, 3) is given
        back as it is where all shares are 0.
        """
        if self.stain:
            rgb = self._restain(rgb, rng)
        shares = (self.brightness, self.contrast, self.saturation)
        if not any(shares):
            return rgb
        factors = [1.0 + share * rng.uniform(-1.0, 1.0) for share in shares]
        image = rgb.astype(np.float32)
        for which in rng.permutation(len(shares)):
            grey = image @ _GREY
            centre = (np.float32(0), grey.mean(), grey[..., None])[which]
            image = np.clip(centre + np.float32(factors[which]) * (image - centre), 0, 255)
        return np.asarray(np.rint(image).astype(np.uint8))

    def _restain(self, rgb: RGB, rng: np.random.Generator) -> RGB:
        amounts = separate(rgb, HEMATOXYLIN, EOSIN)
        amounts[..., :2] *= 1 + self.stain * rng.uniform(-1, 1, 2).astype(np.float32)
        light = compose(amounts, stain_matrix(HEMATOXYLIN, EOSIN))
        return np.asarray(np.rint(255 * light.clip(0, 1)).astype(np.uint8))


def scaled_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(height, width) of an image after ``rescale``."""
    height, width = (round(side * scale) for side in size)
    return height, width


def rescale(rgb: RGB, scale: float) -> RGB:
    """An image (H, W, 3) enlarged by a factor, bicubic as pix2pix and CycleGAN load their images."""
    if scale == 1.0:
        return rgb
    height, width = scaled_size(rgb.shape[:2], scale)
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BICUBIC))


def check_crop(size: tuple[int, int], crop: int, name: str) -> None:
    """Refuse an image that is smaller than the crop; ``name`` is the file that the message names."""
    height, width = size
    if min(height, width) < crop:
        raise RestainError(f"{name}: is {height} x {width} pixels; expected at least the crop, {crop}")


def draw_crop(size: tuple[int, int], crop: int, flip: bool, rng: np.random.Generator, *, turns: bool = False) -> Crop:
    """Draw a window uniformly over all places where it fits, mirrored half of the time if ``flip``.

    Args:
        size: (height, width) of the image; both at least ``crop``, see ``check_crop``.
        crop: side of the window in pixels.
        flip: whether mirroring is allowed.
        rng: the only source of randomness.
        turns: whether the window is turned by 0 to 3 quarters.
    """
    top, left = (int(rng.integers(0, side - crop + 1)) for side in size)
    mirrored = flip and bool(rng.integers(0, 2))
    return Crop(top, left, crop, mirrored, int(rng.integers(0, 4)) if turns else 0)
