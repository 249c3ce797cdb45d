"""What will be done to one slide: at which resolution, in which tiles, how large the result is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from restain.errors import RestainError
from restain.slides.background import Background
from restain.slides.options import Norm, SlideOptions
from restain.slides.seamless.policy import SeamPolicy, choose_policy
from restain.slides.tiling import Footprint, Tile, Tiling, padded_region
from restain.types import Mpp
from restain.wsi.geojson import read_mask
from restain.wsi.geometry import Grid, Mask, Region
from restain.wsi.resample import grid_size
from restain.wsi.slide import Slide
from restain.wsi.tissue import Colour, Tissue, find_tissue

WARN_RATIO, REFUSE_RATIO = 1.1, 2.0  # of two resolutions that ought to be the same
_LEFT_OUT = 0.25  # share of what is darker than the glass; 0.00 to 0.07 in sections, 0.45 to 0.94 in cytology


@dataclass(frozen=True)
class StainerNeeds:
    """What a plan must know of a stainer.

    Attributes:
        mpp: microns per pixel of the images that it learned from, where it states them.
        footprint: of its generator.
        norm: whose statistics will normalise.
    """

    mpp: float | None
    footprint: Footprint
    norm: Norm


@dataclass(frozen=True)
class Plan:
    """Everything about a slide that follows from its size, its tissue and the options."""

    grid: Grid  # in which the network works
    tiling: Tiling  # of that grid
    footprint: Footprint  # of the generator, in that grid
    norm: Norm
    seams: SeamPolicy
    tiles: tuple[Tile, ...]  # with tissue, row by row
    tissue: Tissue  # of the whole slide: what is measured does not depend on the region of interest
    roi: Mask | None  # region of interest in the grid of the tissue's mask; None is the whole slide
    background: Background | None  # None where the bare glass of the whole slide is stained too
    fill: Colour  # of what is not stained
    output: Grid
    warnings: tuple[str, ...]

    @property
    def stained_tissue(self) -> Tissue:
        """The tissue in the region of interest."""
        return self.tissue if self.roi is None else replace(self.tissue, mask=self.tissue.mask & self.roi)

    def padded(self, region: Region) -> Region:
        """What must be read to stain a region of the network's grid."""
        return padded_region(region, self.seams.halo, self.grid.size, self.footprint)


def plan_slide(
    slide: Slide, needs: StainerNeeds, options: SlideOptions, *, tissue: Path | None = None, roi: Path | None = None
) -> Plan:
    """Decide resolution and tiles of a slide; its tissue is looked for at low resolution.

    Args:
        slide: an open slide.
        needs: of the stainer.
        options: see there.
        tissue: GeoJSON file with the contours of the tissue, which is then not searched for.
        roi: GeoJSON file with the region of interest: only what lies in it is stained.

    Raises:
        RestainError: the stainer's resolution is not known, the slide is more than twice as coarse, or the tiles do not
            lie on the generator's lattice.
    """
    footprint = needs.footprint
    footprint.check_side(options.tile)
    mpp, warnings = _working_mpp(needs.mpp, options)
    ratio = slide.mpp / mpp
    if ratio > REFUSE_RATIO and not options.force:
        raise RestainError(
            f"{slide.path}: has {slide.mpp:.4g} µm/px at its finest, and the stainer works at {mpp:.4g} µm/px; "
            "missing detail cannot be stained (--force stains it anyway)"
        )
    if ratio > WARN_RATIO:
        warnings.append(f"the slide is coarser ({slide.mpp:.4g} µm/px) than the stainer's images ({mpp:.4g} µm/px)")
    grid = Grid(mpp, grid_size(slide, mpp))
    found = find_tissue(slide, contours=tissue)
    region = None if roi is None else read_mask(roi, found.grid, slide.mpp)
    warnings += _doubts(found, region, options)
    background = None
    if region is not None or not options.stain_background:
        background = Background(found, grid.size, roi=region, glass=options.stain_background)
    seams = choose_policy(options.seams, options.tile, footprint)
    tiling = Tiling(grid.size, options.tile, seams.feather)
    return Plan(
        grid=grid,
        tiling=tiling,
        footprint=footprint,
        norm=needs.norm,
        seams=seams,
        tiles=tuple(tile for tile in tiling if background is None or not background.hides(tile.region)),
        tissue=found,
        roi=region,
        background=background,
        fill=found.background,  # until the network has shown how it paints glass
        output=Grid(slide.mpp, slide.levels[0].size) if options.match_source else grid,
        warnings=tuple(warnings),
    )


def _doubts(tissue: Tissue, roi: Mask | None, options: SlideOptions) -> Iterator[str]:
    """What is odd about the tissue of a slide."""
    if options.stain_background:
        return
    if not tissue.mask.any():
        yield "no tissue was found: the output is plain white (--stain-background stains everything)"
    elif roi is not None and not (tissue.mask & roi).any():
        yield "the region of interest holds no tissue: the output is plain white (--stain-background stains all of it)"
    if tissue.left_out > _LEFT_OUT:
        yield (
            f"the tissue mask leaves out {tissue.left_out:.0%} of what is darker than the glass, such as single cells, "
            "small pieces and dust; --stain-background stains everything, --tissue FILE.geojson what you outline"
        )


def _working_mpp(trained_mpp: float | None, options: SlideOptions) -> tuple[Mpp, list[str]]:
    if options.model_mpp is None:
        if trained_mpp is None:
            raise RestainError("stainer: states no microns per pixel of its training images; give --model-mpp")
        return Mpp(trained_mpp), []
    if trained_mpp is None:
        return Mpp(options.model_mpp), []
    ratio = max(options.model_mpp / trained_mpp, trained_mpp / options.model_mpp)
    differing = f"model_mpp is {options.model_mpp:.4g} µm/px, and the stainer was trained at {trained_mpp:.4g} µm/px"
    if ratio > REFUSE_RATIO and not options.force:
        raise RestainError(f"{differing}: more than a factor of {REFUSE_RATIO:g} apart (--force stains it anyway)")
    return Mpp(options.model_mpp), [differing] if ratio > WARN_RATIO else []
