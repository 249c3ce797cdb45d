"""How the pixels of a slide are kept: JPEG or lossless, and the tags for it."""

from __future__ import annotations

from dataclasses import dataclass

import imagecodecs
import numpy as np

from restain.errors import RestainError
from restain.images import RGB
from restain.wsi.write import bigtiff
from restain.wsi.write.bigtiff import Entry, Tag

_JPEG, _DEFLATE = 7, 8  # values of Compression
_RGB, _YCBCR = 2, 6  # values of PhotometricInterpretation


@dataclass(frozen=True)
class Encoding:
    """How pixels are kept.

    JPEG is written without chroma subsampling (4:4:4), since 4:2:0 blurs brown into its surroundings and shrinks
    DAB-positive area. Lossless is deflate with horizontal differences, which every reader knows.

    Attributes:
        tile: side of a tile in pixels; a multiple of 16.
        lossless: deflate instead of JPEG.
        quality: of JPEG, 1 to 100.
    """

    tile: int = 512
    lossless: bool = False
    quality: int = 90

    def __post_init__(self) -> None:
        if self.tile < 16 or self.tile % 16:
            raise RestainError(f"tile: {self.tile} pixels; expected a positive multiple of 16")
        if not 1 <= self.quality <= 100:
            raise RestainError(f"quality: {self.quality}; expected 1 to 100")

    def encode(self, pixels: RGB) -> bytes:
        """A tile (tile, tile, 3) as a stream that decodes by itself."""
        if self.lossless:
            return bytes(imagecodecs.deflate_encode(np.diff(pixels, axis=1, prepend=np.uint8(0)).tobytes(), level=6))
        return bytes(
            imagecodecs.jpeg8_encode(
                pixels, level=self.quality, colorspace="RGB", outcolorspace="YCBCR", subsampling="444"
            )
        )

    def entries(self) -> list[Entry]:
        """The tags that tell a reader how to decode.

        YCbCrSubSampling is left to the JPEG streams, which contain it: libtiff asks them where the tag is
        missing, while Bio-Formats, where the tag has 4:4:4, converts RGB that it has already into RGB once more
        (https://github.com/ome/bioformats/issues/3711).
        """
        if self.lossless:
            own = [bigtiff.shorts(Tag.COMPRESSION, _DEFLATE), bigtiff.shorts(Tag.PHOTOMETRIC, _RGB)]
            return [*own, bigtiff.shorts(Tag.PREDICTOR, 2)]
        return [bigtiff.shorts(Tag.COMPRESSION, _JPEG), bigtiff.shorts(Tag.PHOTOMETRIC, _YCBCR)]


DEFAULT_ENCODING = Encoding()
