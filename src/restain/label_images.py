"""Images whose numbers are no colours: labels of nuclei, and masks of where something counts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restain.errors import RestainError, in_short
from restain.files import require_file
from restain.images import MAX_PIXELS, read_values

LABEL_SUFFIXES = (".png", ".tif", ".tiff", ".npy")
MASK_SUFFIXES = (".png", ".tif", ".tiff")


def find_beside(folder: Path, name: str, suffixes: Iterable[str] = LABEL_SUFFIXES) -> Path | None:
    """The file of an image in a folder of labels or masks, by the image's relative path without suffix."""
    return next((path for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()), None)


def read_labels(path: Path, size: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Labels of nuclei as StarDist, Cellpose, InstanSeg or HoverFast write them.

    Args:
        path: PNG of 8 or 16 bits, TIFF or NPY of whole numbers; 0 is no nucleus, each other number is one.
        size: (height, width) of the image that they belong to.

    Returns:
        int32 (height, width), renumbered from 1 to n without gaps.

    Raises:
        RestainError: it is no file, cannot be read, or holds no whole numbers of that size. NPY files with Python
            objects in them are refused, since reading those would run code.
    """
    values = _read(path)
    if values.shape != size or not np.issubdtype(values.dtype, np.integer) or values.min(initial=0) < 0:
        raise RestainError(
            f"{path}: is {values.dtype} of shape {values.shape}; expected whole numbers of shape {size}, 0 where there "
            "is no nucleus"
        )
    numbers, labels = np.unique(values, return_inverse=True)
    first = 0 if numbers[0] == 0 else 1  # an image without background has nuclei alone
    return np.asarray(labels.reshape(size) + first, dtype=np.int32)


def read_mask(path: Path, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Where something counts: every pixel that is not 0 (in any channel but alpha).

    Args:
        path: PNG or TIFF.
        size: (height, width) of the image that it belongs to.

    Raises:
        RestainError: it is no file, cannot be read, or is of another size.
    """
    values = _read(path)
    if values.shape[:2] != size or values.ndim > 3:
        height, width = size
        raise RestainError(f"{path}: has shape {values.shape}; expected a mask of {width} x {height} pixels")
    return np.asarray((values if values.ndim == 2 else values[..., :3].any(axis=-1)) != 0)


def _read(path: Path) -> npt.NDArray[np.generic]:
    if path.suffix.lower() != ".npy":
        return read_values(path)
    require_file(path)
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise RestainError(f"{path}: cannot be read as labels or a mask ({in_short(error)})") from error
    if stored.ndim != 2 or stored.size > MAX_PIXELS:
        raise RestainError(f"{path}: has shape {stored.shape}; expected (height, width)")
    return np.array(stored)
