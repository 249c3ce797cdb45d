"""Random crops of images, for statistics: evenly over the images, each of which is read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from restain.errors import RestainError
from restain.images import RGB


@dataclass(frozen=True)
class Image:
    """Something that can be cropped."""

    name: str
    read: Callable[[], RGB]


def draw_crops(images: Sequence[Image], side: int, count: int, seed: int, *, lenient: bool = False) -> Iterator[RGB]:
    """Draw square crops at random: no image gives two more than another.

    All crops are held until they have been given out: count * side^2 * 3 bytes, 236 MB for 300 of 512 pixels.

    Args:
        images: what is cropped.
        side: of a crop, pixels.
        count: of crops.
        seed: of the draw; the same for the same images.
        lenient: pass over images that cannot be read, and take of one that is smaller than a crop what it has.

    Returns:
        uint8 (side, side, 3), in random order.

    Raises:
        RestainError: an image cannot be read, or is smaller than a crop.
    """
    if not images:
        return
    rng = np.random.default_rng(seed)
    rounds = -(-count // len(images))
    order = np.concatenate([rng.permutation(len(images)) for _ in range(rounds)])[:count].tolist()
    places = rng.random((count, 2)).tolist()
    crops: dict[int, RGB] = {}
    for index in sorted(set(order)):
        rgb = _read(images[index], side, lenient)
        if rgb is not None:
            crops |= {draw: _cut(rgb, side, places[draw]) for draw in range(count) if order[draw] == index}
    for draw in range(count):
        if draw in crops:
            yield crops.pop(draw)


def _cut(rgb: RGB, side: int, place: Sequence[float]) -> RGB:
    height, width = (min(side, extent) for extent in rgb.shape[:2])
    top, left = int(place[0] * (rgb.shape[0] - height + 1)), int(place[1] * (rgb.shape[1] - width + 1))
    return rgb[top : top + height, left : left + width].copy()


def _read(image: Image, side: int, lenient: bool) -> RGB | None:
    try:
        rgb = image.read()
    except RestainError:
        if lenient:
            return None
        raise
    height, width = rgb.shape[:2]
    if min(height, width) < side and not lenient:
        raise RestainError(f"{image.name}: is {height}x{width} pixels; expected at least {side}x{side}, as in training")
    return rgb
