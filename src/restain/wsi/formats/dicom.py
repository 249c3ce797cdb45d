"""DICOM whole-slide images through wsidicom (the extra ``restain[dicom]``)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from restain.errors import RestainError
from restain.images import RGB
from restain.wsi.geometry import Region, Size
from restain.wsi.slide import Level, pyramid_levels


class DicomSource:
    """The volume images of one series; labels and overviews are left out."""

    reader = "dicom"

    def __init__(self, path: Path) -> None:
        try:
            from wsidicom import WsiDicom  # type: ignore[import-untyped]
            from wsidicom.errors import WsiDicomNoResolutionError  # type: ignore[import-untyped]
        except ImportError:
            raise RestainError(
                f"{path}: reading DICOM slides needs wsidicom; install it with: pip install 'restain[dicom]'"
            ) from None
        self._slide = WsiDicom.open(path)
        levels = sorted(self._slide.pyramid, key=lambda level: -level.size.width)
        self._numbers = [level.level for level in levels]
        self.levels: tuple[Level, ...] = pyramid_levels([Size(level.size.width, level.size.height) for level in levels])
        self.pixel_size: tuple[float, float] | None = None
        with suppress(WsiDicomNoResolutionError):
            self.pixel_size = levels[0].mpp.width, levels[0].mpp.height
        metadata = self._slide.metadata
        profiles = [path.icc_profile for path in metadata.pyramid.optical_paths if path.icc_profile]
        self.icc: bytes | None = profiles[0] if profiles else None
        made_by = (metadata.equipment.manufacturer, metadata.equipment.model_name)
        self.properties: Mapping[str, str] = {
            "dicom.Manufacturer": " ".join(name for name in made_by if name),
            "dicom.SeriesInstanceUID": str(metadata.series.uid),
        }

    def read(self, level: int, region: Region) -> RGB:
        """Pixels of a region inside the level."""
        place, size = (region.x, region.y), (region.width, region.height)
        image = self._slide.read_region(place, self._numbers[level], size)
        return np.asarray(image.convert("RGB"))

    def close(self) -> None:
        """Close the files."""
        self._slide.close()
