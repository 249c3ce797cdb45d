"""Files that lie about themselves, byte by byte."""

import struct
import zlib


def png_bytes(width: int, height: int, data: bytes, depth: int = 8) -> bytes:
    """An RGB PNG that declares a size, whatever its compressed data hold."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def tiff_bytes(width: int, height: int) -> bytes:
    """A TIFF of one strip of three bytes that declares an 8-bit RGB image of any size."""
    entries = (
        (256, 4, width),
        (257, 4, height),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 2),
        (273, 4, 8),
        (277, 3, 3),
        (278, 4, height),
        (279, 4, 3),
    )
    fields = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 12) + b"abc\0" + struct.pack("<H", len(entries)) + fields + b"\0\0\0\0"
