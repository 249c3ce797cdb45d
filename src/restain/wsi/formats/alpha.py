"""Where a scanner saw nothing, a slide is transparent; here it is given a colour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from restain.images import RGB


def compose_on(
    background: tuple[int, int, int],
    colours: npt.NDArray[np.uint8],
    alpha: npt.NDArray[np.uint8],
    premultiplied: bool = False,
) -> RGB:
    """Colours over a background.

    Args:
        background: red, green and blue, 0..255.
        colours: uint8 (height, width, 3).
        alpha: uint8 (height, width): 0 shows the background, 255 the colours.
        premultiplied: the colours have been multiplied with alpha before.
    """
    if int(alpha.min(initial=255)) == 255:
        return np.ascontiguousarray(colours)
    cover = alpha[..., None].astype(np.float32) / np.float32(255)
    shown = colours.astype(np.float32) * (np.float32(1) if premultiplied else cover)
    composed = shown + np.asarray(background, np.float32) * (1 - cover)
    return np.asarray(np.rint(composed.clip(0, 255)).astype(np.uint8))
