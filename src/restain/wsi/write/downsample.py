"""From a level of a pyramid to the next coarser one."""

from __future__ import annotations

import numpy as np

from restain.images import RGB
from restain.wsi.geometry import Size

SMALLEST_LEVEL = 1024  # pixels: levels are halved until the longer side is at most this


def level_sizes(size: Size) -> list[Size]:
    """Size of each level: halved, rounded up, until the longer side is at most 1024 pixels."""
    sizes = [size]
    while sizes[-1].longer_side > SMALLEST_LEVEL:
        sizes.append(Size(-(-sizes[-1].width // 2), -(-sizes[-1].height // 2)))
    return sizes


def downsample(pixels: RGB) -> RGB:
    """Average 2 x 2 pixels into one; at an odd edge, what exists of them.

    A mean that lies between two grey levels, which happens to one in four, goes to the even one: rounded up always,
    each level would be an eighth of a grey level lighter than the one below it.

    Args:
        pixels: (H, W, 3).

    Returns:
        (ceil(H / 2), ceil(W / 2), 3).
    """
    height, width = pixels.shape[:2]
    if height % 2 or width % 2:  # a doubled edge has the mean of the edge
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    pairs = pixels[0::2].astype(np.uint16)
    pairs += pixels[1::2]
    fours = pairs[:, 0::2] + pairs[:, 1::2]
    to_even = (fours >> 2) & 1
    to_even += 1
    fours += to_even
    fours >>= 2
    return fours.astype(np.uint8)
