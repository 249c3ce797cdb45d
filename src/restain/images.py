"""Image files in and out: 8-bit RGB arrays of shape (H, W, 3), whatever the suffix says.

This is the one place that opens pictures. PNG, JPEG, TIFF and WebP are read and nothing else, so that no other
decoder, nor a program that one would start, ever sees a file; and what a header declares is checked before memory
is taken for it.
"""

from __future__ import annotations

import logging
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageFile
from PIL.PngImagePlugin import PngInfo

from restain.errors import RestainError, in_short
from restain.files import require_file, write_aside

# What tifffile finds odd in a file ends in a sentence here, or does not matter; it would log each such tag, too.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

RGB: TypeAlias = npt.NDArray[np.uint8]  # (H, W, 3), 0..255, sRGB
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp"})
OTHER_COLOURS = frozenset({"SEPARATED", "CIELAB", "ICCLAB", "ITULAB", "YCBCR", "MINISWHITE"})  # names of TIFF
MAX_PIXELS = 89_478_485  # of a picture that is decoded whole: 0.9 GB on the way, as much as Pillow takes unasked
MAX_SAMPLES = 4  # values per pixel: RGB and alpha
_FORMATS = ("PNG", "JPEG", "WEBP")  # Pillow knows 40 more, one of which starts Ghostscript
_BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")
_LIMIT = (
    f"expected at most {MAX_PIXELS / 1e6:.0f} million in a picture that is decoded whole; it is a slide, or a "
    "decompression bomb"
)
_INCH = 25_400.0  # microns
_DEFLATE = 1032  # bytes that one byte of a PNG can become at most


def read_rgb(path: Path) -> RGB:
    """Read an 8-bit RGB image, PNG, JPEG, TIFF or WebP, by its content and not by its suffix.

    Returns:
        uint8 array (H, W, 3).

    Raises:
        RestainError: the file is missing, unreadable, truncated, of another format or larger than ``MAX_PIXELS``, or
            is not 8-bit RGB. Palette images are expanded (but not in TIFF) and an alpha channel is dropped where it is
            opaque throughout; grey, 16-bit, translucent, CMYK, Lab and raw YCbCr images are refused, because a guess
            would change their colours.
    """
    require_file(path)
    try:
        pixels = _read_tiff(path) if is_tiff(path) else _read_with_pillow(path)
    except RestainError:
        raise
    except Exception as error:  # every codec has exceptions of its own for a damaged file
        raise RestainError(f"{path}: cannot be read as an image ({_reason(error)}); is it truncated?") from error
    return _as_rgb(np.asarray(pixels), path)


def read_values(path: Path) -> npt.NDArray[np.generic]:
    """Read an image whose values are no colours, PNG or TIFF, as it is: any depth, no conversion.

    Raises:
        RestainError: the file is missing, unreadable, of another format or larger than ``MAX_PIXELS``.
    """
    require_file(path)
    try:
        if is_tiff(path):
            return _read_tiff(path)
        with open_picture(path) as image:
            return np.array(image)
    except RestainError:
        raise
    except Exception as error:  # as in read_rgb
        raise RestainError(f"{path}: cannot be read as labels or a mask ({_reason(error)})") from error


def is_tiff(path: Path) -> bool:
    """Whether a file begins as a TIFF of either byte order or a BigTIFF does."""
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def is_picture(path: Path) -> bool:
    """Whether a file begins as a PNG, a JPEG or a WebP does."""
    with path.open("rb") as file:
        return file.read(8).startswith(_BEGINNINGS)


@contextmanager
def open_picture(path: Path) -> Iterator[ImageFile.ImageFile]:
    """A PNG, JPEG or WebP file as Pillow's image, not yet decoded, after a look at what its header declares.

    Raises:
        RestainError: it is no file, or of another format, or declares more pixels than ``MAX_PIXELS`` or than its
            bytes can hold. What Pillow raises for a damaged header is passed on.
    """
    size = require_file(path)
    if not is_picture(path):
        raise RestainError(f"{path}: cannot be read as an image (not of a known format); expected {_known()}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # refused below, in a sentence
        try:
            image = Image.open(path, formats=_FORMATS)
        except Image.DecompressionBombError as error:  # at twice the limit Pillow refuses by itself
            raise RestainError(
                f"{path}: declares more than {2 * MAX_PIXELS / 1e6:.0f} million pixels; {_LIMIT}"
            ) from error
    with image:
        _refuse_large(path, image.height, image.width)
        if image.format == "PNG" and image.height * image.width > 8 * _DEFLATE * size:  # one bit a pixel at least
            raise RestainError(
                f"{path}: declares {image.width} x {image.height} pixels, which its {size} bytes cannot hold; "
                "expected a whole PNG file"
            )
        yield image


def _known() -> str:
    return "PNG, JPEG, TIFF or WebP"


def _refuse_large(path: Path, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise RestainError(f"{path}: declares {width} x {height} pixels; {_LIMIT}")


def _reason(error: Exception) -> str:
    return "its header declares more than there is memory for" if isinstance(error, MemoryError) else in_short(error)


def _read_tiff(path: Path) -> npt.NDArray[np.generic]:
    with tifffile.TiffFile(path) as file:
        page = file.pages.first
        colours, compression = (getattr(tag, "name", str(tag)) for tag in (page.photometric, page.compression))
        if colours in OTHER_COLOURS and not (colours == "YCBCR" and compression == "JPEG"):  # which decodes to RGB
            raise RestainError(f"{path}: has {colours} colours; expected RGB")
        _refuse_large(path, page.imagelength, page.imagewidth)
        if page.is_tiled:
            _refuse_large(path, page.tilelength, page.tilewidth)
        if page.samplesperpixel > MAX_SAMPLES or page.imagedepth > 1:
            raise RestainError(f"{path}: has shape {page.shape}; expected an RGB image (height, width, 3)")
        return np.asarray(page.asarray())


def _read_with_pillow(path: Path) -> npt.NDArray[np.generic]:
    with open_picture(path) as image:
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
    """(height, width) from the file's header, without decoding the pixels.

    Raises:
        RestainError: the file is missing, of another format, damaged in its header or larger than ``MAX_PIXELS``.
    """
    require_file(path)
    try:
        if is_tiff(path):  # Pillow knows fewer kinds of it than read_rgb reads
            with tifffile.TiffFile(path) as file:
                height, width = file.pages.first.imagelength, file.pages.first.imagewidth
            _refuse_large(path, height, width)
            return height, width
        with open_picture(path) as image:
            return image.height, image.width
    except RestainError:
        raise
    except Exception as error:  # as in read_rgb
        raise RestainError(f"{path}: cannot be read as an image ({_reason(error)})") from error


def write_png(
    path: Path, pixels: npt.NDArray[np.uint8], *, texts: Mapping[str, str] | None = None, mpp: float | None = None
) -> None:
    """Write an 8-bit image (H, W, 3) or (H, W) as PNG, whole or not at all.

    Args:
        path: the file.
        pixels: the image.
        texts: text chunks by their keywords.
        mpp: microns per pixel.
    """
    info = PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_text(keyword, text)
    scale = {} if mpp is None else {"dpi": (_INCH / mpp, _INCH / mpp)}
    with write_aside(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG", pnginfo=info, **scale)


def write_jpeg(path: Path, pixels: RGB, quality: int = 90) -> None:
    """Write an 8-bit RGB image (H, W, 3) as JPEG with colours at full resolution, whole or not at all."""
    with write_aside(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="JPEG", quality=quality, subsampling=0)


def png_text(path: Path) -> dict[str, str]:
    """The text chunks of a PNG by their keywords; none where the file is something else.

    Raises:
        RestainError: the file is missing, or damaged in its header.
    """
    try:
        with open_picture(path) as image:
            return {key: str(value) for key, value in getattr(image, "text", {}).items()}
    except OSError as error:
        raise RestainError(f"{path}: cannot be read as an image ({_reason(error)})") from error


def stated_mpp(path: Path) -> float | None:
    """Microns per pixel that a picture states, where they can be those of a microscope; None elsewhere.

    Screens and printers leave 72 to 600 dots per inch in files, which are 42 µm and more.
    """
    if is_tiff(path):
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            unit = {2: _INCH, 3: 1e4}.get(int(getattr(page, "resolutionunit", 1)))
            per_unit = float(page.resolution[0]) if unit else 0.0
            mpp = unit / per_unit if unit and per_unit > 0 else None
    else:
        with open_picture(path) as image:
            dpi = image.info.get("dpi", (0, 0))[0]
            mpp = _INCH / float(dpi) if dpi else None
    return mpp if mpp is not None and 0.02 <= mpp <= 20 else None


def is_pyramid(path: Path) -> bool:
    """Whether a TIFF holds one image at several resolutions, or is a scanner's: a slide, and no picture."""
    require_file(path)
    if not is_tiff(path):
        return False
    with tifffile.TiffFile(path) as file:
        scanner = file.is_svs or file.is_ndpi or file.is_scn or file.is_bif
        return bool(scanner or any(len(series.levels) > 1 for series in file.series))


def list_images(folder: Path) -> list[Path]:
    """All image files below ``folder`` in sorted order, by suffix; hidden files and folders are passed over.

    Links to folders are followed, but no folder is listed twice: not through a link to one that encloses it, nor
    under a second name. What has the suffix of an image and is no file, such as a link that leads nowhere, is listed,
    so that reading it tells what is wrong with it.
    """
    if not folder.is_dir():
        raise RestainError(
            f"{folder}: is a file; expected a folder" if folder.is_file() else f"{folder}: no such folder"
        )
    return sorted(
        path
        for below in _folders(folder)
        for path in below.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and not path.is_dir()
    )


def _folders(root: Path) -> Iterator[Path]:
    """``root`` and the folders below it, each once; its own come before those that links lead to."""
    own, linked = [root], deque[Path]()
    seen = set()
    while own or linked:
        folder = own.pop() if own else linked.popleft()
        found = folder.stat()
        if (found.st_dev, found.st_ino) in seen:
            continue
        seen.add((found.st_dev, found.st_ino))
        yield folder
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and path.is_dir():
                (linked if path.is_symlink() else own).append(path)
