"""Random crops: of the images, even, the same for a seed."""

from collections import Counter

import numpy as np
import pytest

from restain.crops import Image, draw_crops
from restain.errors import RestainError
from restain.images import RGB


def _numbered(index: int, height: int = 40, width: int = 50) -> Image:
    """Every pixel says of which image it is, and where it lies."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([np.full_like(y, index), y, x], axis=2).astype(np.uint8)
    return Image(f"image {index}", lambda: pixels)


def _broken() -> RGB:
    raise RestainError("b.png: cannot be read")


def test_crops_are_whole_pieces_of_the_images_and_evenly_spread() -> None:
    crops = list(draw_crops([_numbered(i) for i in range(7)], 16, 100, 0))
    assert len(crops) == 100
    for crop in crops:
        index, top, left = crop[0, 0]
        assert crop.shape == (16, 16, 3) and top <= 24 and left <= 34
        y, x = np.mgrid[top : top + 16, left : left + 16]
        assert (crop == np.stack([np.full_like(y, index), y, x], axis=2)).all()
    counts = Counter(int(crop[0, 0, 0]) for crop in crops)
    assert set(counts.values()) == {14, 15}
    tops, lefts = ([int(crop[0, 0, axis]) for crop in crops] for axis in (1, 2))
    assert min(tops) < 3 and max(tops) > 21 and min(lefts) < 3 and max(lefts) > 31
    assert [int(crop[0, 0, 0]) for crop in crops[:7]] != sorted(counts)


def test_a_seed_decides() -> None:
    images = [_numbered(i) for i in range(5)]
    first, again, other = (np.stack(list(draw_crops(images, 16, 9, seed))) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_what_cannot_be_cropped() -> None:
    images = [_numbered(0), _numbered(1, 10, 60), Image("b", _broken)]
    with pytest.raises(RestainError, match="image 1: is 10x60 pixels; expected at least 16x16"):
        list(draw_crops(images[:2], 16, 4, 0))
    with pytest.raises(RestainError, match=r"b\.png: cannot be read"):
        list(draw_crops(images[::2], 16, 4, 0))
    lenient = list(draw_crops(images, 16, 9, 0, lenient=True))
    assert Counter(crop.shape for crop in lenient) == {(16, 16, 3): 3, (10, 16, 3): 3}
    assert not list(draw_crops([], 16, 4, 0))
