"""Form, tiles, compression and annotations of a TIFF file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import tifffile

from restain.wsi.write.ome_xml import read_description

_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers SOF0 to SOF15, which are not all frames
_CHROMA = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0"}


def read_tiff_info(path: Path) -> dict[str, str]:
    """Form, tiles and compression of the first directory, and the keys and values of its OME annotations."""
    with tifffile.TiffFile(path) as file:
        first = file.pages.first
        compression = getattr(first.compression, "name", str(first.compression))
        if compression == "JPEG":
            file.filehandle.seek(first.dataoffsets[0])
            compression += f" {chroma_subsampling(file.filehandle.read(first.databytecounts[0]))}"
        form = (
            "BigTIFF" if file.is_bigtiff else "TIFF",
            "OME-XML" if file.is_ome else "no OME-XML",
            f"{len(file.pages)} directories in the chain",
            f"{len(first.subifds or ())} SubIFDs",
        )
        tiles = f"{first.tilewidth} x {first.tilelength} pixels" if first.is_tiled else "none"
        return {"form": ", ".join(form), "tiles": f"{tiles}, {compression}"} | _description(file)


def _description(file: tifffile.TiffFile) -> dict[str, str]:
    try:
        return read_description(file.ome_metadata) if file.is_ome and file.ome_metadata else {}
    except ElementTree.ParseError:
        return {"OME-XML": "broken"}


def chroma_subsampling(stream: bytes) -> str:
    """How a JPEG stream samples its colours: 4:4:4, 4:2:2, 4:2:0, or its sampling factors where it is another.

    Args:
        stream: a JPEG; its frame header is read (ITU-T T.81, B.2.2).
    """
    at = 2  # behind the marker that starts the image
    while at + 4 <= len(stream):
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker in _FRAMES:
            components = stream[at + 9]
            factors = [stream[at + 11 + 3 * index] for index in range(components)]
            luma, *chroma = [(factor >> 4, factor & 15) for factor in factors]
            if components == 3 and set(chroma) == {(1, 1)} and luma in _CHROMA:
                return _CHROMA[luma]
            return f"sampled {' '.join(f'{x}x{y}' for x, y in (luma, *chroma))}"
        at += 2 + length
    return "without a frame header"
