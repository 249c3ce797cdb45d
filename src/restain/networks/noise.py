"""Gaussian noise that follows from the place of a pixel: the same pixel of a slide has the same noise in every tile.

A hash of (key, channel, row, column) in elementary integer operations, so that every device and every exported file
draws the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF


@dataclass
class Place:
    """Where the images of the batch in the network lie: their upper left corners (x, y), in pixels of the slide."""

    corners: list[tuple[int, int]] = field(default_factory=list)  # none: every image begins at (0, 0)

    def __deepcopy__(self, memo: object) -> Place:
        """Itself: whoever sets the corners sets them for the copies of the network, too."""
        return self


def noise_field(
    key: int, channels: int, height: int, width: int, device: torch.device, corners: Sequence[tuple[int, int]] = ()
) -> Tensor:
    """Independent standard normal numbers for the pixels of a batch, each following from its place alone.

    Args:
        key: which of many such fields, 0 or more.
        channels: of each pixel.
        height: of the images.
        width: of the images.
        device: where the numbers are made.
        corners: (x, y) of the upper left pixel of each image; none for a single field that begins at (0, 0).

    Returns:
        float32 (N, channels, height, width); N is 1 without corners.
    """
    rows, columns = (torch.arange(side, device=device) for side in (height, width))
    kinds = torch.arange(channels, device=device)[:, None, None]
    fields = []
    for x, y in corners or ((0, 0),):
        uniform = []
        for half in (0, 1):
            hashed = _mixed(kinds + (2 * key + half) * 65_536)
            hashed = _mixed(hashed + (rows + y)[:, None])
            uniform.append((_mixed(hashed + columns + x).float() + 0.5) / 2.0**32)
        radius = torch.sqrt(-2 * torch.log(uniform[0].clamp(max=1.0)))
        fields.append(radius * torch.cos(2 * math.pi * uniform[1]))  # Box and Muller (1958)
    return torch.stack(fields)


def _mixed(x: Tensor) -> Tensor:
    """An integer hash of 32 bits whose outputs look random (two rounds of multiply and shift), in int64."""
    x = x & _MASK
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = x ^ (x >> shift)
        x = (x * factor) & _MASK
    return x ^ (x >> 16)
