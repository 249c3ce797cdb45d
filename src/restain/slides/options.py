"""How slides are stained and written. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from restain.errors import RestainError
from restain.wsi.reader import MPP_RANGE

Norm: TypeAlias = Literal["stainer", "slide", "local", "tile"]
Seams: TypeAlias = Literal["auto", "exact", "feather"]
NORMS: tuple[Norm, ...] = ("stainer", "slide", "local", "tile")
SEAMS: tuple[Seams, ...] = ("auto", "exact", "feather")


@dataclass(frozen=True, kw_only=True)
class SlideOptions:
    """How slides are stained and written.

    Attributes:
        mpp: microns per pixel of the slides; overrides a missing or wrong resolution in the files.
        model_mpp: microns per pixel at which the stainer works; overrides what the stainer states.
        norm: whose statistics normalise: those of the stainer's training, of the slide, of a neighbourhood, or of each
            tile; by default the stainer's where it has them, else the slide's. For batch norms, local and tile are the
            same as stainer. See docs/slides.md.
        tile: side in pixels of the piece that the network stains at once, without its halo; a multiple of the
            generator's stride.
        seams: exact, a halo as wide as the network sees; feather, overlapping windows that are blended; auto, exact
            while the halo is at most half a tile wide.
        match_source: write on the H&E's own pixel grid instead of the stainer's resolution.
        stain_background: stain the bare glass too, instead of filling it with the slide's own white.
        lossless: deflate instead of JPEG.
        quality: of the JPEG, 1 to 100.
        overwrite: stain slides again whose output was made from the same slide by the same stainer and options.
        force: stain although resolutions differ by more than a factor of two.
        precision: auto, 32 or bf16; see ``restain.inference``.
    """

    mpp: float | None = None
    model_mpp: float | None = None
    norm: Norm | None = None
    tile: int = 1024
    seams: Seams = "auto"
    match_source: bool = False
    stain_background: bool = False
    lossless: bool = False
    quality: int = 90
    overwrite: bool = False
    force: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("mpp", "model_mpp"):
            value = getattr(self, name)
            if value is not None and not MPP_RANGE[0] <= value <= MPP_RANGE[1]:
                raise RestainError(f"{name} is {value:g} µm per pixel; expected {MPP_RANGE[0]:g} to {MPP_RANGE[1]:g}")
        if self.norm is not None and self.norm not in NORMS:
            raise RestainError(f"norm is {self.norm!r}; expected one of {', '.join(NORMS)}")
        if self.seams not in SEAMS:
            raise RestainError(f"seams is {self.seams!r}; expected one of {', '.join(SEAMS)}")
        if not 64 <= self.tile <= 16384:
            raise RestainError(f"tile is {self.tile}; expected 64 to 16384 pixels")
        if not 1 <= self.quality <= 100:
            raise RestainError(f"quality is {self.quality}; expected 1 to 100")
