"""One slide, from the scanner's file to a virtual stain that lines up with it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from filelock import FileLock, Timeout

from restain.appearance import FAR, unlike_calibration
from restain.errors import RestainError, in_short, printable
from restain.files import rename_whole, write_json
from restain.images import RGB
from restain.inference import prepare
from restain.progress import ProgressBar, console
from restain.slides.options import SlideOptions
from restain.slides.plan import Plan, plan_slide
from restain.slides.record import MadeBy, Request, SlideRecord
from restain.slides.run.existing import explain_change, find_earlier
from restain.slides.run.fill import with_fill
from restain.slides.run.identity import describe, request_of
from restain.slides.run.job import BESIDE, SUFFIX, Job
from restain.slides.run.journal import Journal, discard, open_journal
from restain.slides.run.pictures import write_pictures
from restain.slides.run.pipeline import Stages, Timing, run_tiles
from restain.slides.run.stitching import Assembly
from restain.slides.seamless.normalisation import find_statistics, measure_distance, needs_of
from restain.slides.seamless.seam_score import SeamScore
from restain.slides.slide_stainer import SlideStainer
from restain.slides.tiling import Read, Tile
from restain.stainer import Stainer
from restain.wsi.geometry import Region
from restain.wsi.reader import FileSlide, open_slide
from restain.wsi.resample import read_region
from restain.wsi.write.pyramid import Encoding, PyramidWriter, SlideMetadata


def failed(job: Job, error: str) -> SlideRecord:
    """The record of a slide that has no output."""
    return SlideRecord(slide=str(job.source), output=str(job.target), status="failed", error=error)


def stain_slide(job: Job, stainer: Stainer, options: SlideOptions, *, quiet: bool = False) -> SlideRecord:
    """Stain one slide; an error becomes a record.

    Until the output is complete, finished tiles lie in a hidden folder beside it, from which the next run continues.
    A lock keeps a second process off the slide.
    """
    lock = job.hidden(".lock")  # outlives only a process that was killed
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            try:
                request, earlier = request_of(job, stainer, options), find_earlier(job)
                made_by = earlier.made_by if earlier else None
                changed = request.differences(made_by.request) if made_by else []
                if earlier and made_by and not changed and not options.overwrite:
                    discard(job.hidden(".unfinished"), made_by.identity)
                    return earlier.model_copy(update={"status": "skipped", "made_by": None, "output": str(job.target)})
                note = (explain_change(earlier, changed),) if earlier and changed else ()
                return _stain(job, request, stainer, options, note, quiet)
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        return failed(job, "another process is staining it").model_copy(update={"status": "busy"})
    except RestainError as error:
        return failed(job, str(error))
    except OSError as error:
        return failed(job, f"{error.filename or job.target.parent}: {error.strerror or in_short(error)}")
    except Exception as error:  # a fault of this program: logged in full, and the other slides are stained
        logging.getLogger(__name__).exception("%s", job.source)
        return failed(job, f"{type(error).__name__}: {in_short(error)}")


def _stain(
    job: Job, request: Request, stainer: Stainer, options: SlideOptions, notes: tuple[str, ...], quiet: bool
) -> SlideRecord:
    start = time.monotonic()
    with open_slide(job.source, request.mpp) as slide:
        plan = plan_slide(slide, needs_of(stainer, options.norm), options, tissue=job.tissue, roi=job.roi)
        made_by = describe(job, request, plan, stainer)
        with open_journal(job.hidden(".unfinished"), made_by.identity) as journal:
            plan = replace(plan, warnings=(*plan.warnings, *notes, *_dropped(journal)))
            read = _reader(slide, plan)
            distance = measure_distance(stainer, plan, read)
            if distance is not None and distance > FAR:
                plan = replace(plan, warnings=(*plan.warnings, unlike_calibration(distance)))
            if not quiet and plan.norm in ("slide", "local"):
                found = f"{plan.tissue.area_mm2:.3g} mm² of tissue; measuring its statistics"
                console.print(f"{printable(job.source.name)}: {found}")
            statistics = find_statistics(journal.folder, stainer, plan, read)
            prepared = partial(prepare, precision=options.precision)
            network = SlideStainer(stainer.generator, statistics, halo=plan.seams.halo, prepare=prepared)
            plan = with_fill(journal.folder, plan, network, read)
            unfinished = journal.folder / f"output{SUFFIX}"
            with _writer(unfinished, job, slide, plan, made_by) as writer:
                assembly = Assembly(plan, journal, writer)
                timing, pixels = _run(job, plan, journal, _Work(read, network, assembly), quiet)
            thumbnail, preview, contours, about = (journal.folder / f"output{suffix}" for suffix in BESIDE)
            write_pictures(slide, unfinished, thumbnail, preview)
            write_json(contours, plan.stained_tissue.to_geojson(plan.output.mpp))
            spent = _Spent(time.monotonic() - start, pixels, timing)
            record = _record(job, plan, made_by, spent, assembly.seams.score())
            record = record.model_copy(update={"appearance_distance": distance})
            write_json(about, record.model_dump(mode="json"))
            for suffix in BESIDE:
                (journal.folder / f"output{suffix}").replace(job.beside(suffix))
            rename_whole(unfinished, job.target)  # last: where the slide is, everything is
            journal.remove()
    return record.model_copy(update={"made_by": None})


def _dropped(journal: Journal) -> Iterator[str]:
    if journal.dropped:
        yield f"{journal.dropped} tiles of an unfinished run with other settings, or of another slide, were dropped"


@dataclass(frozen=True)
class _Spent:
    seconds: float  # from opening the slide to its last file
    pixels: int  # stained in this run
    timing: Timing


@dataclass(frozen=True)
class _Work:
    read: Read
    network: SlideStainer
    assembly: Assembly


def _run(job: Job, plan: Plan, journal: Journal, work: _Work, quiet: bool) -> tuple[Timing, int]:
    """Seconds spent, and pixels stained in this run."""
    done, start, pixels = len(journal), time.monotonic(), 0
    with ProgressBar(printable(job.source.name), len(plan.tiles), "tiles", done, quiet) as bar:

        def report(tile: Tile) -> None:
            nonlocal pixels
            pixels += tile.region.area
            bar.note = f"{pixels / 1e6 / (time.monotonic() - start):.2f} Mpx/s"
            bar.advance()

        def finish(rgb: RGB, region: Region) -> RGB:
            return plan.background.blend(rgb, region, plan.fill) if plan.background else rgb

        stages = Stages(work.read, work.network, finish, work.assembly.advance, report)
        timing = run_tiles(plan, journal, stages)
    return timing, pixels


def _reader(slide: FileSlide, plan: Plan) -> Read:
    def read(region: Region) -> RGB:
        return read_region(slide, region, plan.grid.mpp)

    return read


def _writer(path: Path, job: Job, slide: FileSlide, plan: Plan, made_by: MadeBy) -> PyramidWriter:
    name = job.target.name.removesuffix(SUFFIX)
    about = SlideMetadata(plan.output.mpp, name, made_by.description(), slide.icc)
    encoding = Encoding(lossless=made_by.request.lossless, quality=made_by.request.quality)
    return PyramidWriter(path, plan.output.size, about, background=plan.fill, encoding=encoding)


def _record(job: Job, plan: Plan, made_by: MadeBy, spent: _Spent, seams: SeamScore | None) -> SlideRecord:
    return SlideRecord(
        slide=str(job.source),
        output=str(job.target),
        status="stained",
        slide_mpp=plan.tissue.slide_mpp,
        written=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=spent.seconds,
        megapixels=spent.pixels / 1e6,
        rate=spent.pixels / 1e6 / spent.seconds,
        tiles=len(plan.tiles),
        tiles_in_all=len(plan.tiling),
        mpp=plan.output.mpp,
        width=plan.output.size.width,
        height=plan.output.size.height,
        tissue_mm2=plan.stained_tissue.area_mm2,
        background=plan.fill,
        norm=plan.norm,
        seams=plan.seams.kind,
        seam_score=seams.score if seams else None,
        seam_borders=seams.borders if seams else None,
        seam_step=seams.jump if seams else None,
        read_seconds=spent.timing.read,
        network_seconds=spent.timing.network,
        write_seconds=spent.timing.write,
        warnings=plan.warnings,
        stain=made_by.stain,
        weights_sha256=made_by.identity.weights_sha256,
        made_by=made_by,
    )
