"""Microns per pixel as TIFF files state them, in one of four ways."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import tifffile

PixelSize = tuple[float, float]  # x, y in µm

_MICRONS = {"nm": 1e-3, "µm": 1.0, "μm": 1.0, "um": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6, "in": 25400.0}
_MICRON_NAMES = {"micron", "microns", "um", "\\u00B5m", "µm", "μm"}  # as ImageJ writes its unit


def pixel_size_of_tiff(file: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    """Pixel size of the finest page, from OME-XML, then Aperio's or ImageJ's text, then the resolution tags."""
    ome = _of_ome(file.ome_metadata, page) if file.is_ome and file.ome_metadata else None
    return ome or _of_description(page) or _of_resolution_tags(page)


def _of_ome(xml: str, page: tifffile.TiffPage) -> PixelSize | None:
    """PhysicalSizeX and Y of the image of that size; the unit is µm where none is named (OME 2016-06)."""
    for pixels in ElementTree.fromstring(xml).iterfind(".//{*}Pixels"):
        if (pixels.get("SizeX"), pixels.get("SizeY")) == (str(page.imagewidth), str(page.imagelength)):
            sizes = [
                float(pixels.get(f"PhysicalSize{axis}", "nan"))
                * _MICRONS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"), float("nan"))
                for axis in "XY"
            ]
            return (sizes[0], sizes[1]) if all(size == size for size in sizes) else None
    return None


def _of_description(page: tifffile.TiffPage) -> PixelSize | None:
    if aperio := re.search(r"\|\s*MPP\s*=\s*([\d.]+)", page.description):
        return float(aperio[1]), float(aperio[1])
    unit = re.search(r"^unit=(\S+)", page.description, re.MULTILINE)
    if page.is_imagej and unit and unit[1] in _MICRON_NAMES:
        return _per_unit(page, 1.0)
    return None


def _of_resolution_tags(page: tifffile.TiffPage) -> PixelSize | None:
    unit = int(page.tags.valueof("ResolutionUnit", default=2))  # inches where the tag is left out (TIFF 6.0)
    return _per_unit(page, {2: 25400.0, 3: 1e4}.get(unit))


def _per_unit(page: tifffile.TiffPage, microns: float | None) -> PixelSize | None:
    """From XResolution and YResolution, fractions in pixels per unit."""
    fractions = [page.tags.valueof(name) for name in ("XResolution", "YResolution")]
    if microns is None or any(not fraction or not all(fraction) for fraction in fractions):
        return None
    (x, per_x), (y, per_y) = fractions
    return microns * per_x / x, microns * per_y / y
