"""Before a run: how many tiles, how much memory, how long, how large the files. Nothing is written."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from restain.errors import RestainError
from restain.inference import prepare
from restain.slides.plan import Plan, SlideOptions, plan_slide
from restain.slides.run.batch import list_jobs
from restain.slides.run.journal import KEPT_DECODED
from restain.slides.run.pipeline import READ_AHEAD, READERS, WRITE_BEHIND
from restain.slides.seamless.frozen import measure_slide
from restain.slides.seamless.sampling import sample_count
from restain.slides.seamless.statistics import window_side
from restain.slides.tiles import SlideStainer, padded_region, receptive_radius
from restain.stainer import Stainer, load_stainer
from restain.tensors import find_device
from restain.wsi.reader import FileSlide, Region, open_slide, read_region
from restain.wsi.write.pyramid import Encoding

_PYRAMID = 4 / 3  # all levels over the finest
_TILES_HELD = READ_AHEAD + WRITE_BEHIND + KEPT_DECODED  # beside the one that was tried
_ROWS_HELD = 7 / 3  # of output tiles, with the writer, see PyramidWriter
_LOCAL_PASSES = 2.0  # through the network for each tile with local statistics, about


@dataclass(frozen=True)
class Outlook:
    """What a slide will take."""

    slide: Path
    error: str = ""
    width: int = 0  # of the output
    height: int = 0
    tiles: int = 0  # with tissue
    tiles_in_all: int = 0
    tissue_mm2: float = 0.0
    seconds: float = 0.0
    memory: float = 0.0  # bytes
    size: float = 0.0  # bytes of the output
    warnings: tuple[str, ...] = ()


def foresee(
    stainer: str | Path,
    input: str | Path | Sequence[str | Path],
    out: str | Path,
    options: SlideOptions = SlideOptions(),  # noqa: B008 - frozen
    device: str = "auto",
) -> list[Outlook]:
    """Tell what ``slide`` with the same arguments would take; a tile of each slide is stained to measure it.

    Raises:
        RestainError: no usable stainer or device, or no slides.
    """
    jobs = list_jobs(input, Path(out))
    ready = load_stainer(stainer, find_device(device))
    return [_foresee(job.source, ready, options) for job in jobs]


def _foresee(source: Path, stainer: Stainer, options: SlideOptions) -> Outlook:
    try:
        with open_slide(source, options.mpp) as slide:
            plan = plan_slide(slide, stainer.card.mpp, options)
            seconds, density = _try_a_tile(slide, plan, stainer, options) if plan.tiles else (0.0, 0.0)
    except (RestainError, OSError) as error:
        return Outlook(source, error=str(error))
    height, width = plan.output_size
    network_pixels = sum(tile.width * tile.height for tile in plan.tiles)
    output_pixels = network_pixels * (plan.mpp / plan.output_mpp) ** 2
    return Outlook(
        slide=source,
        width=width,
        height=height,
        tiles=len(plan.tiles),
        tiles_in_all=plan.tiles_in_all,
        tissue_mm2=plan.tissue.area_mm2,
        seconds=seconds,
        memory=_peak_memory() + 3 * (_TILES_HELD * options.tile**2 + _ROWS_HELD * width * Encoding().tile),
        size=density * output_pixels * _PYRAMID,
        warnings=plan.warnings,
    )


def _try_a_tile(slide: FileSlide, plan: Plan, stainer: Stainer, options: SlideOptions) -> tuple[float, float]:
    """Seconds for the whole slide, and bytes for each pixel of the output, from the tile in the middle of the list."""
    tile = plan.tiles[len(plan.tiles) // 2]
    rectangle = padded_region(tile, receptive_radius(stainer.generator), *plan.size)
    start = time.perf_counter()
    padded = read_region(slide, Region(*rectangle), plan.mpp)
    reading = time.perf_counter() - start
    start = time.perf_counter()
    frozen = measure_slide(stainer.generator, [padded]) if options.norm == "slide" else None
    measuring = time.perf_counter() - start
    network = SlideStainer(stainer.generator, frozen, lambda net: prepare(net, options.precision))
    start = time.perf_counter()
    pixels = network.stain([padded], [tile])[0]
    seconds = max(reading / READERS, time.perf_counter() - start)  # they overlap
    area = rectangle[2] * rectangle[3]
    work = sum(_area(padded_region(one, network.halo, *plan.size)) for one in plan.tiles) / area
    window = window_side(stainer)
    sampled = sample_count(plan.tissue.mask, plan.size, window) * window**2 / area if frozen else 0.0
    if options.norm == "local":
        work *= _LOCAL_PASSES
    side = Encoding().tile
    encoded = Encoding(lossless=options.lossless, quality=options.quality).encode(pixels[:side, :side])
    return seconds * work + measuring * sampled, len(encoded) / pixels[:side, :side, 0].size


def _area(rectangle: tuple[int, int, int, int]) -> int:
    return rectangle[2] * rectangle[3]


def _peak_memory() -> float:
    """Bytes of this process at its largest so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return float(peak)


def print_outlook(outlooks: Sequence[Outlook], console: Console | None = None) -> None:
    """Print one line a slide, and the sum."""
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"{len(outlooks)} slides, not stained")
    for heading in ("slide", "output, px", "tiles", "tissue, mm²", "memory, GB", "time, min", "file, MB"):
        table.add_column(heading, justify="left" if heading == "slide" else "right")
    for one in outlooks:
        table.add_row(
            escape(one.slide.name),
            f"{one.width} x {one.height}",
            f"{one.tiles} of {one.tiles_in_all}",
            f"{one.tissue_mm2:.3g}",
            f"{one.memory / 1e9:.2f}",
            f"{one.seconds / 60:.1f}",
            f"{one.size / 1e6:.1f}",
        )
    table.add_section()
    minutes, megabytes = sum(one.seconds for one in outlooks) / 60, sum(one.size for one in outlooks) / 1e6
    table.add_row("all", "", "", "", "", f"{minutes:.1f}", f"{megabytes:.1f}")
    console.print(table)
    for one in outlooks:
        for sentence in (*one.warnings, *([one.error] if one.error else [])):
            console.print(f"{one.slide.name}: {sentence}", markup=False, soft_wrap=True)
