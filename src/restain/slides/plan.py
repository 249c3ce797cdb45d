"""What will be done to one slide: at which resolution, in which tiles, how large the result is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from restain.errors import RestainError
from restain.slides.background import Glass
from restain.slides.tiles import Tile, tile_grid
from restain.types import Mpp
from restain.wsi.reader import MPP_RANGE, Slide, grid_size
from restain.wsi.tissue import Tissue, find_tissue

WARN_RATIO, REFUSE_RATIO = 1.1, 2.0  # of two resolutions that ought to be the same
NORMS = ("tile", "slide", "local")


@dataclass(frozen=True)
class SlideOptions:
    """How slides are stained and written.

    Attributes:
        mpp: microns per pixel of the slides, in place of what they say.
        model_mpp: microns per pixel at which the stainer works, in place of what it says.
        norm: whose statistics normalise: of each tile, of the slide, or of a neighbourhood; see docs/slides.md.
        tile: side in pixels of what passes through the network at once, without its halo. A multiple of 4.
        match_source: write on the H&E's own pixel grid, not at the stainer's resolution.
        glass: stain the glass too, in place of filling it with the slide's white.
        lossless: zlib-compressed pixels in place of JPEG.
        quality: of the JPEG, 1 to 100.
        skip_existing: leave slides alone whose output exists; otherwise it is replaced once the new one is complete.
        force: stain although resolutions differ by more than a factor of two.
        precision: auto, 32 or bf16; see ``restain.inference``.
    """

    mpp: float | None = None
    model_mpp: float | None = None
    norm: Literal["tile", "slide", "local"] = "slide"
    tile: int = 1024
    match_source: bool = False
    glass: bool = False
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


@dataclass(frozen=True)
class Plan:
    """Everything about a slide that follows from its size, its tissue and the options."""

    mpp: Mpp  # of the grid in which the network works
    size: tuple[int, int]  # (height, width) of that grid
    tiles: tuple[Tile, ...]  # with tissue, row by row
    tiles_in_all: int
    tissue: Tissue
    glass: Glass | None
    output_mpp: Mpp
    output_size: tuple[int, int]
    warnings: tuple[str, ...]


def plan_slide(slide: Slide, trained_mpp: float | None, options: SlideOptions) -> Plan:
    """Decide resolution and tiles of a slide; its tissue is looked for at low resolution.

    Args:
        slide: an open slide.
        trained_mpp: microns per pixel of the images that the stainer learned from, where it knows.
        options: see there.

    Raises:
        RestainError: the stainer's resolution is not known, or the slide is more than twice as coarse.
    """
    mpp, warnings = _working_mpp(trained_mpp, options)
    ratio = slide.mpp / mpp
    if ratio > REFUSE_RATIO and not options.force:
        raise RestainError(
            f"{slide.path}: has {slide.mpp:.4g} µm/px at its finest, and the stainer works at {mpp:.4g} µm/px; "
            "detail that is not there cannot be stained (--force does it all the same)"
        )
    if ratio > WARN_RATIO:
        warnings.append(f"the slide is coarser ({slide.mpp:.4g} µm/px) than the stainer's images ({mpp:.4g} µm/px)")
    size = grid_size(slide, mpp)
    tissue = find_tissue(slide)
    if not options.glass and not tissue.mask.any():
        warnings.append("no tissue was found: the output is plain white (--glass stains everything)")
    glass = None if options.glass else Glass(tissue, size)
    tiles = [tile for row in tile_grid(*size, options.tile) for tile in row]
    kept = tuple(tile for tile in tiles if glass is None or not glass.hides(tile))
    finest = slide.levels[0]
    return Plan(
        mpp=mpp,
        size=size,
        tiles=kept,
        tiles_in_all=len(tiles),
        tissue=tissue,
        glass=glass,
        output_mpp=slide.mpp if options.match_source else mpp,
        output_size=(finest.height, finest.width) if options.match_source else size,
        warnings=tuple(warnings),
    )


def _working_mpp(trained_mpp: float | None, options: SlideOptions) -> tuple[Mpp, list[str]]:
    if options.model_mpp is None:
        if trained_mpp is None:
            raise RestainError("stainer: does not say at how many microns per pixel it was trained; give --model-mpp")
        return Mpp(trained_mpp), []
    if trained_mpp is None:
        return Mpp(options.model_mpp), []
    ratio = max(options.model_mpp / trained_mpp, trained_mpp / options.model_mpp)
    said = f"model_mpp is {options.model_mpp:.4g} µm/px, and the stainer was trained at {trained_mpp:.4g} µm/px"
    if ratio > REFUSE_RATIO and not options.force:
        raise RestainError(f"{said}: more than a factor of {REFUSE_RATIO:g} apart (--force does it all the same)")
    return Mpp(options.model_mpp), [said] if ratio > WARN_RATIO else []
