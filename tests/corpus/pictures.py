"""Pictures that are none, that lie, or that are of another kind."""

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from bad_files import png_bytes, tiff_bytes
from corpus.registry import Bad, case
from PIL import Image

RGB = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)


def _encoded(form: str, mode: str = "RGB") -> Callable[[Path], object]:
    return lambda path: Image.fromarray(RGB).convert(mode).save(path, format=form)


def _cut(form: str, share: float) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        Image.fromarray(RGB).save(path, format=form)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return write


def _jpeg_of(side: int) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        Image.fromarray(RGB).save(path, format="JPEG")
        data = bytearray(path.read_bytes())
        start = data.index(b"\xff\xc0") + 5
        data[start : start + 4] = side.to_bytes(2, "big") * 2
        path.write_bytes(data)

    return write


def _wide_tile(path: Path) -> None:
    tifffile.imwrite(path, RGB, photometric="rgb", tile=(32, 32))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        places = [file.pages.first.tags[name].valueoffset for name in ("TileWidth", "TileLength")]
    for place in places:
        data[place : place + 2] = (65_520).to_bytes(2, "little")
    path.write_bytes(data)


def _text_bomb(path: Path) -> None:
    whole = png_bytes(40, 40, zlib.compress(b"\0" * 40 * 121))
    content = b"note\0\0" + zlib.compress(b"\0" * (1 << 27))
    chunk = struct.pack(">I", len(content)) + b"zTXt" + content + struct.pack(">I", zlib.crc32(b"zTXt" + content))
    path.write_bytes(whole[:33] + chunk + whole[33:])


PICTURES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "png-bomb": (
        lambda path: path.write_bytes(png_bytes(60_000, 60_000, zlib.compress(b"\0" * 10_000_000) * 400)),
        ("million pixels", "expected at most 89 million"),
    ),
    "png-lies": (lambda path: path.write_bytes(png_bytes(9000, 9000, b"")), ("declares 9000 x 9000 pixels", "bytes")),
    "tiff-bomb": (lambda path: path.write_bytes(tiff_bytes(100_000, 100_000)), ("declares 100000 x 100000 pixels",)),
    "tiff-petabytes": (lambda path: path.write_bytes(tiff_bytes(2**31, 2**31)), ("declares", "expected at most")),
    "tiff-without-pixels": (lambda path: path.write_bytes(tiff_bytes(0, 40)), ()),
    "tiff-cut": (_cut("TIFF", 0.4), ("cannot be read as an image",)),
    "tiff-half-a-header": (lambda path: path.write_bytes(b"II*\0\x08\0"), ("cannot be read as an image",)),
    "tiff-wide-tile": (_wide_tile, ("declares 65520 x 65520 pixels",)),
    "jpeg-bomb": (_jpeg_of(60_000), ("million pixels", "expected at most 89 million")),
    "jpeg-cut": (_cut("JPEG", 0.7), ("cannot be read as an image", "truncated")),
    "png-cut": (_cut("PNG", 0.5), ("cannot be read as an image",)),
    "webp-cut": (_cut("WEBP", 0.5), ("cannot be read as an image",)),
    "png-text-bomb": (_text_bomb, ("cannot be read as an image",)),
    "eps": (
        lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\nshowpage\n"),
        ("not of a known format", "PNG, JPEG, TIFF or WebP"),
    ),
    "gif": (_encoded("GIF"), ("not of a known format",)),
    "bmp": (_encoded("BMP"), ("not of a known format",)),
    "empty": (lambda path: path.touch(), ("cannot be read as an image",)),
    "words": (lambda path: path.write_text("a picture"), ("cannot be read as an image",)),
    "zeros": (lambda path: path.write_bytes(bytes(1000)), ("cannot be read as an image",)),
    "pipe": (os.mkfifo, ("is a named pipe; expected a file",)),
    "link-to-nowhere": (lambda path: path.symlink_to("nowhere.png"), ("nowhere.png: no such file",)),
    "link-to-itself": (lambda path: path.symlink_to(path.name), ("cannot be opened",)),
    "grey": (_encoded("PNG", "L"), ("has shape (40, 40); expected an RGB image",)),
    "translucent": (
        lambda path: Image.fromarray(np.dstack([RGB, RGB[..., 0]])).save(path, format="PNG"),
        ("translucent alpha",),
    ),
    "cmyk": (_encoded("JPEG", "CMYK"), ("has CMYK colours; expected RGB",)),
    "lab": (_encoded("TIFF", "LAB"), ("has CIELAB colours; expected RGB",)),
    "16-bit": (
        lambda path: path.write_bytes(png_bytes(2, 2, zlib.compress((b"\0" + b"\1\2" * 6) * 2), depth=16)),
        (),
    ),
    "floats": (
        lambda path: tifffile.imwrite(path, RGB.astype(np.float32), photometric="rgb"),
        ("has float32 pixels; expected 8 bits",),
    ),
}


@case("pictures", PICTURES)
def evaluated(folder: Path, picture: tuple[Callable[[Path], object], tuple[str, ...]]) -> Bad:
    write, says = picture
    for side in ("real", "fake"):
        (folder / side).mkdir()
    write(folder / "real" / "field.png")
    Image.fromarray(RGB).save(folder / "fake" / "field.png")
    words = ["evaluate", "--real", "real", "--fake", "fake", "--out", "out", "--device", "cpu"]
    return Bad(words, ("field", *says), leaves=("out",))


@case("pictures", {name: PICTURES[name] for name in ("png-bomb", "png-cut", "pipe", "eps", "link-to-nowhere")})
def inspected(folder: Path, picture: tuple[Callable[[Path], object], tuple[str, ...]]) -> Bad:
    """``data inspect`` reports what is wrong with an image and ends with 1: training could not start."""
    write, says = picture
    for side in ("trainA", "trainB"):
        (folder / side).mkdir()
    write(folder / "trainA" / "field.png")
    Image.fromarray(RGB).save(folder / "trainB" / "field.png")
    return Bad(["data", "inspect", "."], (*says, "Training cannot start."), status=1)
