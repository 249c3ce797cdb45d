"""The part of BigTIFF that a slide needs: a header, tiles appended as they come, directories at the end.

Source: TIFF 6.0 (Adobe, 1992) for the tags, its Technical Note 1 for SubIFDs, the BigTIFF extension for 64-bit
offsets. A reader follows offsets only, so tiles of all levels may lie in the order in which they were made, and tiles
of the same bytes may be the same bytes in the file.

Not tifffile's writer, which the tests read with: it wants a level at a time, so the others would have to be kept aside,
it writes each background tile again, and always the subsampling tag that makes Bio-Formats convert colours twice.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import BinaryIO

HEADER = struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0)  # the last field, 0 until the end, leads to the first directory
_FIRST_DIRECTORY_AT = 8


class Tag(IntEnum):
    """Names of the tags in use."""

    NEW_SUBFILE_TYPE = 254
    IMAGE_WIDTH = 256
    IMAGE_LENGTH = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    IMAGE_DESCRIPTION = 270
    SAMPLES_PER_PIXEL = 277
    X_RESOLUTION = 282
    Y_RESOLUTION = 283
    PLANAR_CONFIGURATION = 284
    RESOLUTION_UNIT = 296
    SOFTWARE = 305
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SUB_IFDS = 330
    ICC_PROFILE = 34675


@dataclass(frozen=True)
class Entry:
    """One tag of a directory: its type's number in the specification, how many values, and their bytes.

    ``place`` is the offset of bytes that are in the file already, for several directories to share; ``data`` is then
    empty.
    """

    tag: Tag
    kind: int
    count: int
    data: bytes
    place: int | None = None


def text(tag: Tag, value: str) -> Entry:
    """Text that ends with a zero: ASCII in TIFF, UTF-8 in OME-TIFF and its readers."""
    data = value.encode() + b"\0"
    return Entry(tag, 2, len(data), data)


def shorts(tag: Tag, *values: int) -> Entry:
    """Unsigned 16-bit numbers."""
    return Entry(tag, 3, len(values), struct.pack(f"<{len(values)}H", *values))


def longs(tag: Tag, *values: int) -> Entry:
    """Unsigned 32-bit numbers."""
    return Entry(tag, 4, len(values), struct.pack(f"<{len(values)}I", *values))


def offsets(tag: Tag, values: Sequence[int]) -> Entry:
    """Unsigned 64-bit numbers."""
    return Entry(tag, 16, len(values), struct.pack(f"<{len(values)}Q", *values))


def rational(tag: Tag, value: float) -> Entry:
    """A positive number as the nearest fraction of two 32-bit numbers; relative error below 1e-9 from 1 to 1e6."""
    fraction = Fraction(value).limit_denominator(max(1, int(2**31 / max(1.0, value))))
    return Entry(tag, 5, 1, struct.pack("<II", fraction.numerator, fraction.denominator))


def append_shared(file: BinaryIO, tag: Tag, data: bytes) -> Entry:
    """Append bytes that mean something to others, more than 8 of them, and give the tag that leads there."""
    start = _aligned_end(file)
    file.write(data)
    return Entry(tag, 7, len(data), b"", start)


def write_pyramid(file: BinaryIO, levels: Sequence[Sequence[Entry]]) -> None:
    """Append the directories of a pyramid, finest level first, and let the header lead to them.

    The coarser levels are SubIFDs of the first directory, where OME-TIFF puts them, and at the same time
    the next directories of the main chain, where OpenSlide looks for them: each is written once and found twice.

    Args:
        file: open for writing, with ``HEADER`` at its start.
        levels: the entries of each level; SubIFDs are added here.
    """
    first, *coarser = levels
    start = _aligned_end(file)
    if coarser:  # the offsets are known once the sizes are, and a size does not depend on the offsets' values
        first = [*first, offsets(Tag.SUB_IFDS, [0] * len(coarser))]
    starts = [start]
    for entries in [first, *coarser]:
        starts.append(starts[-1] + len(_directory(entries, starts[-1], 0)))
    if coarser:
        first = [*first[:-1], offsets(Tag.SUB_IFDS, starts[1:-1])]
    following = [*starts[1:-1], 0]
    for entries, own, after in zip([first, *coarser], starts, following, strict=False):
        file.write(_directory(entries, own, after))
    file.seek(_FIRST_DIRECTORY_AT)
    file.write(struct.pack("<Q", start))


def _aligned_end(file: BinaryIO) -> int:
    file.seek(0, 2)
    file.write(bytes(-file.tell() % 8))
    return file.tell()


def _directory(entries: Sequence[Entry], start: int, following: int) -> bytes:
    """A directory that will lie at ``start``: its entries in order of their tags, then what did not fit into them."""
    fields, values = bytearray(struct.pack("<Q", len(entries))), bytearray()
    values_start = start + 8 + 20 * len(entries) + 8
    for entry in sorted(entries, key=lambda entry: entry.tag):
        if entry.place is not None:
            inline = struct.pack("<Q", entry.place)
        elif len(entry.data) <= 8:
            inline = entry.data.ljust(8, b"\0")
        else:
            inline = struct.pack("<Q", values_start + len(values))
            values += entry.data.ljust(-(-len(entry.data) // 8) * 8, b"\0")
        fields += struct.pack("<HHQ", entry.tag, entry.kind, entry.count) + inline
    return bytes(fields + struct.pack("<Q", following) + values)
