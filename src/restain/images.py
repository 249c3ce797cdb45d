"""Image files in and out: 8-bit RGB arrays of shape (H, W, 3), whatever the suffix says."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from restain.errors import RestainError, in_short
from restain.files import write_aside

RGB: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3), 0..255, sRGB
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
OTHER_COLOURS = frozenset({"SEPARATED", "CIELAB", "ICCLAB", "ITULAB", "YCBCR", "MINISWHITE"})  # names of TIFF

Image.MAX_IMAGE_PIXELS = None  # slides are large on purpose; a decompression "bomb" is this field's daily bread


def read_rgb(path: Path) -> RGB:
    """Read an 8-bit RGB image, PNG, JPEG, TIFF or WebP, by its content and not by its suffix.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        RestainError: the file is missing, unreadable or truncated, or is not 8-bit RGB. Palette images are
            expanded (but not in TIFF) and an alpha channel is dropped where it is opaque throughout; grey, 16-bit,
            translucent, CMYK, Lab and raw YCbCr images are refused, because a guess would change their colours.
    """
    try:
        pixels = _read_tiff(path) if is_tiff(path) else _read_with_pillow(path)
    except RestainError:
        raise
    except FileNotFoundError:
        raise RestainError(f"{path}: no such file") from None
    except Exception as error:  # every codec has exceptions of its own for a damaged file
        raise RestainError(f"{path}: cannot be read as an image ({in_short(error)}); is it truncated?") from error
    return _as_rgb(np.asarray(pixels), path)


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF of either byte order or a BigTIFF does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _read_tiff(path: Path) -> npt.NDArray[np.generic]:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        colours, compression = (getattr(tag, "name", str(tag)) for tag in (page.photometric, page.compression))
        if colours in OTHER_COLOURS and not (colours == "YCBCR" and compression == "JPEG"):  # which decodes to RGB
            raise RestainError(f"{path}: has {colours} colours; expected RGB")
        return np.asarray(page.asarray())


def _read_with_pillow(path: Path) -> npt.NDArray[np.generic]:
    with Image.open(path) as image:
        if any(";16" in str(tile[-1]) for tile in image.tile):  # Pillow would drop the lower eight bits in silence
            raise RestainError(f"{path}: has 16 bits per channel; expected 8 bits per channel (uint8)")
        if image.mode == "CMYK":  # four channels, but none of them is alpha
            raise RestainError(f"{path}: has CMYK colours; expected RGB")
        image.load()
        if image.mode == "P":
            return np.array(image.convert("RGBA" if "transparency" in image.info else "RGB"))
        return np.array(image)


def _as_rgb(pixels: npt.NDArray[np.generic], path: Path) -> RGB:
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise RestainError(f"{path}: has shape {pixels.shape}; expected an RGB image (height, width, 3)")
    if pixels.dtype != np.uint8:
        raise RestainError(f"{path}: has {pixels.dtype} pixels; expected 8 bits per channel (uint8)")
    if pixels.shape[2] == 4 and int(pixels[..., 3].min()) < 255:
        raise RestainError(f"{path}: has a translucent alpha channel; expected an opaque RGB image")
    return np.ascontiguousarray(pixels[..., :3])


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) from the file's header, without decoding the pixels."""
    try:
        if is_tiff(path):  # Pillow knows fewer kinds of it than read_rgb reads
            with tifffile.TiffFile(path) as file:
                return file.pages.first.imagelength, file.pages.first.imagewidth
        with Image.open(path) as image:
            return image.height, image.width
    except Exception as error:  # as in read_rgb
        raise RestainError(f"{path}: cannot be read as an image ({in_short(error)})") from error


def write_png(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    """Write an 8-bit image (H, W, 3) or (H, W) as PNG, whole or not at all."""
    with write_aside(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def list_images(folder: Path) -> list[Path]:
    """All image files below ``folder`` in sorted order, by suffix; hidden files are passed over."""
    if not folder.is_dir():
        raise RestainError(f"{folder}: no such folder")
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
