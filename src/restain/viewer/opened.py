"""An open picture: a pyramid of square tiles over one frame of microns, that of its case."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, log2

import numpy as np

from restain.errors import RestainError
from restain.images import RGB
from restain.registration.transform import Transform
from restain.stains import Floats
from restain.viewer.maps import SlideMap, find_maps
from restain.viewer.overlays import ColourMap, stain_amount, stain_overlays
from restain.viewer.pictures import Case, Picture
from restain.viewer.registered import read_registered, read_transform, scale_of
from restain.wsi.geometry import Region, Size
from restain.wsi.reader import FileSlide, open_slide
from restain.wsi.resample import read_region

TILE = 512  # pixels
_GUESS = 1.0  # microns per pixel where nothing is known: the page then counts in pixels


@dataclass(frozen=True)
class OpenPicture:
    """A picture that can be read at every level.

    Level 0 is one tile; each level is twice as fine as the one before, and the last is as fine as the file.

    Attributes:
        picture: what it is.
        slide: the open file.
        transform: puts it on the frame of the H&E; None where it lies on its own.
        mpp: microns per pixel of the last level.
        size: of the last level, in pixels.
        scale_known: whether ``mpp`` comes from the file or the user, not from a guess.
        notes: sentences that a reader must know.
        maps: that the slide carries.
    """

    picture: Picture
    slide: FileSlide
    transform: Transform | None
    mpp: float
    size: Size
    scale_known: bool
    notes: tuple[str, ...]
    maps: tuple[SlideMap, ...]

    @property
    def last_level(self) -> int:
        """Number of the finest level."""
        return max(0, ceil(log2(self.size.longer_side / TILE)))

    @property
    def overlays(self) -> tuple[ColourMap, ...]:
        """What can be drawn over it."""
        return *stain_overlays(self.picture.role), *(one.colours for one in self.maps)

    def level_size(self, level: int) -> Size:
        """Pixels of a level, parts of a pixel counted whole."""
        factor = 2 ** (self.last_level - level)
        return Size(ceil(self.size.width / factor), ceil(self.size.height / factor))

    def tile_region(self, level: int, column: int, row: int) -> Region | None:
        """The pixels of a tile, less at the right and lower edge; None where there is no such tile."""
        if not 0 <= level <= self.last_level or column < 0 or row < 0:
            return None
        region = Region(column * TILE, row * TILE, TILE, TILE).clip(self.level_size(level))
        return region if region.area else None

    def read(self, level: int, region: Region) -> RGB:
        """Pixels of a level, uint8 (height, width, 3); white outside the slide."""
        mpp = self.mpp * 2 ** (self.last_level - level)
        if self.transform is None:
            return read_region(self.slide, region, mpp)
        return read_registered(self.slide, self.transform, region, mpp)

    def read_overlay(self, key: str, level: int, region: Region) -> tuple[ColourMap, Floats] | None:
        """A quantity over a level, float32 (height, width), and its colours; None where there is no such overlay."""
        for one in self.maps:
            if one.colours.key == key:
                return one.colours, one.values(region, self.level_size(level))
        for colours in stain_overlays(self.picture.role):
            if colours.key == key:
                return colours, stain_amount(self.read(level, region), key, self.picture.role)
        return None

    def overview(self, longer_side: int) -> RGB:
        """The whole picture, no longer than that many pixels."""
        mpp = self.mpp * max(1.0, self.size.longer_side / longer_side)
        factor = self.mpp / mpp
        whole = Region(0, 0, max(1, round(self.size.width * factor)), max(1, round(self.size.height * factor)))
        if self.transform is None:
            return read_region(self.slide, whole, mpp)
        return read_registered(self.slide, self.transform, whole, mpp)


def open_picture(picture: Picture, case: Case) -> OpenPicture:
    """Open a picture and find its place in its case.

    One that states no believable pixel size is made as wide as the case's first that does (or as its first), and a
    note says so. A registered one is shown on the frame of the first picture that has no transform.

    Raises:
        RestainError: it cannot be opened, or its transform or a map's legend cannot be read.
    """
    slide, known, note = _open_scaled(picture, case.pictures)
    notes = [note] if note else []
    size, mpp, transform = slide.levels[0].size, float(slide.mpp), None
    if picture.transform is not None:
        transform = read_transform(picture.transform)
        frame = next((other for other in case.pictures if other.transform is None and other is not picture), None)
        if frame is None:
            raise RestainError(f"{picture.transform}: needs the H&E beside the IHC; the case holds one picture alone")
        under, _, _ = _open_scaled(frame, case.pictures)
        with under:
            mpp = mpp / scale_of(transform)
            extent = under.levels[0].size
            size = Size(ceil(extent.width * under.mpp / mpp), ceil(extent.height * under.mpp / mpp))
    maps = () if transform else find_maps(picture.path)
    return OpenPicture(picture, slide, transform, mpp, size, known, tuple(notes), maps)


def _open_scaled(picture: Picture, others: Sequence[Picture]) -> tuple[FileSlide, bool, str]:
    """The slide, whether its pixel size is known, and what to say where it is not."""
    try:
        return open_slide(picture.path, picture.mpp), True, ""
    except RestainError as error:
        try:
            slide = open_slide(picture.path, _GUESS)
        except RestainError:  # not only the pixel size is wrong
            raise error from None
    reference = _reference(picture, others)
    if reference is None:
        return slide, False, "has no usable pixel size; lengths are in pixels"
    fitted = reference.microns / slide.levels[0].width
    slide.close()
    return open_slide(picture.path, fitted), False, f"has no usable pixel size; shown as wide as the {reference.label}"


@dataclass(frozen=True)
class _Width:
    microns: float
    label: str


def _reference(picture: Picture, others: Sequence[Picture]) -> _Width | None:
    """The first other picture of known pixel size, or the first of the case, one micron for a pixel."""
    for other in others:
        if other is not picture:
            with suppress(RestainError), open_slide(other.path, other.mpp) as scaled:
                return _Width(scaled.levels[0].width * scaled.mpp, other.label)
    if others[0] is not picture:
        with suppress(RestainError), open_slide(others[0].path, _GUESS) as guessed:
            return _Width(guessed.levels[0].width * _GUESS, others[0].label)
    return None


def contours_on_frame(rings: Sequence[Sequence[tuple[float, float]]], transform: Transform | None) -> list[np.ndarray]:
    """Rings in microns of a slide, float64 (n, 2), on the frame of its case."""
    arrays = [np.asarray(ring, dtype=np.float64) for ring in rings]
    return arrays if transform is None else [transform.inverse_at(ring) for ring in arrays]
