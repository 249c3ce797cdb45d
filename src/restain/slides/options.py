"""How slides are stained and written. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from restain.errors import RestainError
from restain.wsi.reader import MPP_RANGE

Norm: TypeAlias = Literal["tile", "slide", "local"]
NORMS: tuple[Norm, ...] = ("tile", "slide", "local")


@dataclass(frozen=True, kw_only=True)
class SlideOptions:
    """How slides are stained and written.

    Attributes:
        mpp: microns per pixel of the slides; overrides a missing or wrong resolution in the files.
        model_mpp: microns per pixel at which the stainer works; overrides what the stainer states.
        norm: whose statistics normalise: those of each tile, of the slide, or of a neighbourhood; see docs/slides.md.
        tile: side in pixels of the piece that the network stains at once, without its halo; a multiple of 4.
        match_source: write on the H&E's own pixel grid instead of the stainer's resolution.
        stain_background: stain the bare glass too, instead of filling it with the slide's own white.
        lossless: deflate instead of JPEG.
        quality: of the JPEG, 1 to 100.
        skip_existing: leave slides alone whose output exists; otherwise it is replaced once the new one is complete.
        force: stain although resolutions differ by more than a factor of two.
        precision: auto, 32 or bf16; see ``restain.inference``.
    """

    mpp: float | None = None
    model_mpp: float | None = None
    norm: Norm = "slide"
    tile: int = 1024
    match_source: bool = False
    stain_background: bool = False
    lossless: bool = False
    quality: int = 90
    skip_existing: bool = False
    force: bool = False
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("mpp", "model_mpp"):
            value = getattr(self, name)
            if value is not None and not MPP_RANGE[0] <= value <= MPP_RANGE[1]:
                raise RestainError(f"{name} is {value:g} µm per pixel; expected {MPP_RANGE[0]:g} to {MPP_RANGE[1]:g}")
        if self.norm not in NORMS:
            raise RestainError(f"norm is {self.norm!r}; expected one of {', '.join(NORMS)}")
        if self.tile < 64 or self.tile % 4:
            raise RestainError(f"tile is {self.tile}; expected a multiple of 4 of at least 64 pixels")
        if not 1 <= self.quality <= 100:
            raise RestainError(f"quality is {self.quality}; expected 1 to 100")
