"""One slide, from the scanner's file to a virtual stain that lines up with it."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout

from restain.errors import RestainError, in_short
from restain.files import rename_whole, write_json
from restain.images import RGB
from restain.inference import find_precision, prepare
from restain.progress import ProgressBar, console
from restain.slides.plan import Plan, SlideOptions, plan_slide
from restain.slides.run.journal import Journal, sweep
from restain.slides.run.pictures import write_pictures
from restain.slides.run.pipeline import Stages, Timing, run_tiles
from restain.slides.run.stitching import Assembly
from restain.slides.seamless.statistics import find_statistics
from restain.slides.tiles import SlideStainer, Tile
from restain.stainer import Stainer
from restain.wsi.reader import FileSlide, Region, open_slide, read_region
from restain.wsi.write.pyramid import Encoding, PyramidWriter, SlideMetadata

SUFFIX = ".ome.tif"
NOTICE = "virtual stain, not a real IHC; for research, not for clinical use"
_BESIDE = (".thumbnail.png", ".preview.png", ".tissue.geojson", ".json")  # files that go with a slide
_ENDS = 2**20  # bytes at the beginning and the end of a file that tell it from another


@dataclass(frozen=True)
class Job:
    """A slide and where its virtual stain goes."""

    source: Path
    target: Path

    def beside(self, suffix: str) -> Path:
        """A file next to the result, of the same name."""
        return self.target.with_name(self.target.name.removesuffix(SUFFIX) + suffix)

    def hidden(self, suffix: str) -> Path:
        """The same, for what is not to be seen when all is done."""
        beside = self.beside(suffix)
        return beside.with_name("." + beside.name)


@dataclass(frozen=True)
class SlideRecord:
    """What became of a slide."""

    slide: str
    output: str
    status: Literal["stained", "skipped", "busy", "failed"]
    seconds: float | None = None  # of this run; the tiles of an interrupted one were paid for earlier
    megapixels: float | None = None  # of the tiles that this run stained
    rate: float | None = None  # megapixels a second, from opening the slide to its last file
    tiles: int | None = None  # with tissue
    tiles_in_all: int | None = None
    mpp: float | None = None  # of the output
    width: int | None = None
    height: int | None = None
    tissue_mm2: float | None = None
    seam_score: float | None = None  # steps across tile borders over steps beside them: 1 is none
    seam_borders: int | None = None  # tile borders behind the score; of few, chance in the tissue shows
    seam_step: float | None = None  # mean step along a tile border, in grey levels
    read_seconds: float | None = None  # that the network waited for pixels
    network_seconds: float | None = None
    write_seconds: float | None = None  # that the network waited for the writer
    error: str = ""
    warnings: tuple[str, ...] = ()


def failed(job: Job, error: str) -> SlideRecord:
    """The record of a slide that has no output."""
    return SlideRecord(str(job.source), str(job.target), "failed", error=error)


def stain_slide(job: Job, stainer: Stainer, options: SlideOptions, quiet: bool = False) -> SlideRecord:
    """Stain one slide; an error becomes a record.

    Until the output is complete, finished tiles lie in a hidden folder beside it, from which the next run goes on.
    A lock keeps a second process off the slide.
    """
    skipped = SlideRecord(str(job.source), str(job.target), "skipped")
    lock = job.hidden(".lock")  # outlives only a process that was killed
    if options.skip_existing and job.target.exists() and not lock.exists():
        return skipped
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=0):
            try:
                if options.skip_existing and job.target.exists():
                    sweep(job.hidden(".unfinished"))
                    return skipped
                return _stain(job, stainer, options, quiet)
            finally:
                lock.unlink(missing_ok=True)
    except Timeout:
        return SlideRecord(str(job.source), str(job.target), "busy", error="another process is staining it")
    except RestainError as error:
        return failed(job, str(error))
    except OSError as error:
        return failed(job, f"{error.filename or job.target.parent}: {error.strerror or in_short(error)}")
    except Exception as error:  # a fault of this program's own: told in full, and the other slides go on
        logging.getLogger(__name__).exception("%s", job.source)
        return failed(job, f"{type(error).__name__}: {in_short(error)}")


def _stain(job: Job, stainer: Stainer, options: SlideOptions, quiet: bool) -> SlideRecord:
    start = time.monotonic()
    with open_slide(job.source, options.mpp) as slide:
        plan = plan_slide(slide, stainer.card.mpp, options)
        journal = Journal(job.hidden(".unfinished"), _identity(job.source, plan, stainer, options))
        if journal.dropped:
            dropped = (
                f"{journal.dropped} tiles of an unfinished run with other settings, or of another slide, were dropped"
            )
            plan = replace(plan, warnings=(*plan.warnings, dropped))
        read = _reader(slide, plan)
        if not quiet:
            found = f"{plan.tissue.area_mm2:.3g} mm² of tissue; measuring its statistics"
            console.print(f"{job.source.name}: {found}", markup=False)
        statistics = find_statistics(journal.folder, stainer, options.norm, plan, read)
        network = SlideStainer(stainer.generator, statistics, lambda net: prepare(net, options.precision))
        unfinished = journal.folder / f"output{SUFFIX}"
        with _writer(unfinished, job, slide, plan, stainer, options) as writer:
            assembly = Assembly(plan, journal, writer, (options.tile, writer.encoding.tile))
            timing, pixels = _run(job, plan, journal, _Work(read, network, assembly), quiet)
        thumbnail, preview, outlines, about = (journal.folder / f"output{suffix}" for suffix in _BESIDE)
        write_pictures(slide, unfinished, thumbnail, preview)
    write_json(outlines, plan.tissue.to_geojson())
    record = _record(job, plan, time.monotonic() - start, pixels, timing, assembly)
    write_json(about, asdict(record) | {"made_by": _description(job, stainer, options)})
    for suffix in _BESIDE:
        (journal.folder / f"output{suffix}").replace(job.beside(suffix))
    rename_whole(unfinished, job.target)  # last: where the slide is, everything is
    journal.remove()
    return record


@dataclass(frozen=True)
class _Work:
    read: Callable[[tuple[int, int, int, int]], RGB]
    network: SlideStainer
    assembly: Assembly


def _run(job: Job, plan: Plan, journal: Journal, work: _Work, quiet: bool) -> tuple[Timing, int]:
    """Seconds spent, and pixels stained in this run."""
    done, start, pixels = len(journal), time.monotonic(), 0
    with ProgressBar(job.source.name, len(plan.tiles), "tiles", done, quiet) as bar:

        def report(tile: Tile) -> None:
            nonlocal pixels
            pixels += tile.width * tile.height
            bar.note = f"{pixels / 1e6 / (time.monotonic() - start):.2f} Mpx/s"
            bar.advance()

        finish = plan.glass.cover if plan.glass else lambda rgb, tile: rgb
        stages = Stages(work.read, work.network, finish, work.assembly.advance, report)
        timing = run_tiles(plan.tiles, plan.size, journal, stages)
    return timing, pixels


def _reader(slide: FileSlide, plan: Plan) -> Callable[[tuple[int, int, int, int]], RGB]:
    return lambda rectangle: read_region(slide, Region(*rectangle), plan.mpp)


def _writer(
    path: Path, job: Job, slide: FileSlide, plan: Plan, stainer: Stainer, options: SlideOptions
) -> PyramidWriter:
    name = job.target.name.removesuffix(SUFFIX)
    about = SlideMetadata(plan.output_mpp, name, _description(job, stainer, options), slide.icc)
    encoding = Encoding(lossless=options.lossless, quality=options.quality)
    return PyramidWriter(path, plan.output_size, about, plan.tissue.white, encoding)


def _description(job: Job, stainer: Stainer, options: SlideOptions) -> dict[str, str]:
    return {
        "Notice": NOTICE,
        "Stain": stainer.card.stain or "not recorded",
        "Software": f"restain {metadata.version('restain')}",
        "Recipe": stainer.card.recipe,
        "WeightsSHA256": stainer.weights_sha256,
        "Normalisation": options.norm,
        "Source": job.source.name,
    }


def _identity(source: Path, plan: Plan, stainer: Stainer, options: SlideOptions) -> dict[str, Any]:
    """Everything that moves a pixel."""
    device = next(stainer.generator.parameters()).device
    return {
        "slide": _fingerprint(source),
        "slide_mpp": plan.tissue.slide_mpp,
        "weights": stainer.weights_sha256,
        "versions": [metadata.version("restain"), torch.__version__],
        "device": device.type,
        "precision": find_precision(options.precision, device),
        "mpp": plan.mpp,
        "size": list(plan.size),
        "norm": options.norm,
        "tile": options.tile,
        "glass": options.glass,
    }


def _fingerprint(path: Path) -> str:
    """Tells a slide from another without reading gigabytes: names, sizes, times, beginnings and ends of its files."""
    digest = hashlib.sha256()
    folder = path.with_suffix("") if path.suffix.lower() == ".mrxs" else path  # MIRAX: slide.mrxs and slide/
    for file in [path, *sorted(folder.rglob("*"))]:
        if file.is_file():
            status = file.stat()
            size = status.st_size
            digest.update(f"{file.name!r} {size} {status.st_mtime_ns}\n".encode())
            with file.open("rb") as content:
                digest.update(content.read(_ENDS))
                content.seek(max(0, size - _ENDS))
                digest.update(content.read(_ENDS))
    return digest.hexdigest()


def _record(job: Job, plan: Plan, seconds: float, pixels: int, timing: Timing, assembly: Assembly) -> SlideRecord:
    score = assembly.seams.score()
    return SlideRecord(
        slide=str(job.source),
        output=str(job.target),
        status="stained",
        seconds=seconds,
        megapixels=pixels / 1e6,
        rate=pixels / 1e6 / seconds,
        tiles=len(plan.tiles),
        tiles_in_all=plan.tiles_in_all,
        mpp=plan.output_mpp,
        width=plan.output_size[1],
        height=plan.output_size[0],
        tissue_mm2=plan.tissue.area_mm2,
        seam_score=score.score if score else None,
        seam_borders=score.borders if score else None,
        seam_step=score.jump if score else None,
        read_seconds=timing.read,
        network_seconds=timing.network,
        write_seconds=timing.write,
        warnings=plan.warnings,
    )
