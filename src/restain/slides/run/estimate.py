"""Before a run: the number of tiles, memory, time and file size of each slide. Nothing is written."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from restain.errors import RestainError
from restain.inference import prepare
from restain.networks.statistics import Statistics
from restain.slides.options import SlideOptions
from restain.slides.plan import Plan, plan_slide
from restain.slides.run.batch import check_run
from restain.slides.run.existing import find_earlier
from restain.slides.run.job import Job, list_jobs
from restain.slides.run.journal import KEPT_DECODED
from restain.slides.run.pipeline import READ_AHEAD, READERS, WRITE_BEHIND
from restain.slides.seamless.normalisation import measured_pixels, needs_of, window_side
from restain.slides.slide_stainer import SlideStainer
from restain.stainer import Stainer
from restain.stainer_files import load_stainer
from restain.tensors import find_device, to_tensor
from restain.wsi.geometry import Size
from restain.wsi.reader import FileSlide, open_slide
from restain.wsi.resample import read_region
from restain.wsi.write.pyramid import Encoding

_NOTHING = Size(0, 0)
_PYRAMID = 4 / 3  # all levels over the finest
_TILES_HELD = READ_AHEAD + WRITE_BEHIND + KEPT_DECODED  # beside the one that was tried
_ROWS_HELD = 7 / 3  # of output tiles, with the writer, see PyramidWriter
_LOCAL_PASSES = 2.0  # through the network for each tile with local statistics, about


@dataclass(frozen=True)
class Estimate:
    """What a slide will need."""

    slide: Path
    target: Path  # where the virtual slide would be
    error: str = ""
    output: Size = _NOTHING
    tiles: int = 0  # with tissue
    tiles_in_all: int = 0
    tissue_mm2: float = 0.0
    seconds: float = 0.0
    memory: float | None = 0.0  # bytes; None where the system does not state how much a process takes
    file_size: float = 0.0  # bytes of the output
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DryRun:
    """What each slide of a run will need, and what the run would pass over."""

    out: Path
    estimates: tuple[Estimate, ...]
    ignored: tuple[Path, ...]  # files among the inputs that are no slides by their suffix


def estimate_slides(
    stainer: str | Path,
    input: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    options: SlideOptions = SlideOptions(),  # noqa: B008 - frozen
    device: str = "auto",
    tissue: str | Path | None = None,
    roi: str | Path | None = None,
    mpp_table: str | Path | None = None,
    devices: int = 1,
    engine: str = "local",
    workers: int | None = None,
) -> DryRun:
    """What ``slide`` with the same arguments would need; one tile of each slide is stained to measure it.

    Raises:
        RestainError: as ``slide``, as far as that is known without the machines of a cluster.
    """
    tissue_path, roi_path, table = (None if path is None else Path(path) for path in (tissue, roi, mpp_table))
    listed = list_jobs(input, Path(out), tissue=tissue_path, roi=roi_path, mpp_table=table)
    check_run(Path(out), device, devices, engine, workers)
    # The GPUs of a cluster are elsewhere; one of this machine, if any, stands for them.
    ready = load_stainer(stainer, find_device("auto" if (engine, device) == ("ray", "cuda") else device))
    needs_of(ready, options.norm).footprint.check_side(options.tile)
    return DryRun(Path(out), tuple(_estimate(job, ready, options) for job in listed.jobs), listed.ignored)


def _estimate(job: Job, stainer: Stainer, options: SlideOptions) -> Estimate:
    try:
        find_earlier(job)  # a file of others in the way
        with open_slide(job.source, job.mpp or options.mpp) as slide:
            plan = plan_slide(slide, needs_of(stainer, options.norm), options, tissue=job.tissue, roi=job.roi)
            seconds, density = _try_a_tile(slide, plan, stainer, options) if plan.tiles else (0.0, 0.0)
    except (RestainError, OSError) as error:
        return Estimate(job.source, job.target, error=str(error))
    network_pixels = sum(plan.tiling.cell(tile.row, tile.column).area for tile in plan.tiles)
    output_pixels = network_pixels * (plan.grid.mpp / plan.output.mpp) ** 2
    peak, tile_held = _peak_memory(), (options.tile + plan.tiling.feather) ** 2
    rows_held = _ROWS_HELD * plan.output.size.width * Encoding().tile
    return Estimate(
        slide=job.source,
        target=job.target,
        output=plan.output.size,
        tiles=len(plan.tiles),
        tiles_in_all=len(plan.tiling),
        tissue_mm2=plan.stained_tissue.area_mm2,
        seconds=seconds,
        memory=None if peak is None else peak + 3 * (_TILES_HELD * tile_held + rows_held),
        file_size=density * output_pixels * _PYRAMID,
        warnings=plan.warnings,
    )


def _try_a_tile(slide: FileSlide, plan: Plan, stainer: Stainer, options: SlideOptions) -> tuple[float, float]:
    """Seconds for the whole slide, and bytes for each pixel of the output, from the tile in the middle of the list."""
    tile = plan.tiles[len(plan.tiles) // 2]
    start = time.perf_counter()
    padded = read_region(slide, plan.padded(tile.region), plan.grid.mpp)
    reading = time.perf_counter() - start
    passes, area = _LOCAL_PASSES if plan.norm == "local" else 1.0, plan.padded(tile.region).area
    start = time.perf_counter()
    statistics: Statistics | None = stainer.statistics if plan.norm == "stainer" else None
    if plan.norm in ("slide", "local"):  # local ones cost the same where the network is run
        statistics = stainer.measure([to_tensor(padded)[None]])
    measuring = (time.perf_counter() - start) / area if plan.norm == "slide" else 0.0  # seconds per pixel
    prepared = partial(prepare, precision=options.precision)
    network = SlideStainer(stainer.generator, statistics, halo=plan.seams.halo, prepare=prepared)
    start = time.perf_counter()
    pixels = network.stain([padded], [tile])[0]
    staining = max(reading / READERS, time.perf_counter() - start) / area  # they overlap
    work = sum(plan.padded(planned.region).area for planned in plan.tiles)
    seconds = staining * work * passes + measuring * measured_pixels(plan, window_side(stainer, plan.footprint))
    side = Encoding().tile
    corner = np.ascontiguousarray(pixels[:side, :side])
    encoded = Encoding(lossless=options.lossless, quality=options.quality).encode(corner)
    return seconds, len(encoded) / Size.of(corner).area


def _peak_memory() -> float | None:
    """Bytes of this process at its largest so far; None on Windows, where Python has no module that states it."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return float(peak)
