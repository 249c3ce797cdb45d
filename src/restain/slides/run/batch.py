"""A batch of slides: its summary, and the machines that it is spread over."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restain.errors import RestainError
from restain.files import require_folder_or_none
from restain.slides.options import SlideOptions
from restain.slides.record import SlideRecord
from restain.slides.run.existing import check_summary
from restain.slides.run.job import Job, list_jobs
from restain.slides.run.processes import stain_in_processes
from restain.slides.run.single import stain_slide
from restain.slides.run.summary import update_summary
from restain.slides.seamless.normalisation import needs_of
from restain.stainer import Stainer
from restain.stainer_files import load_stainer
from restain.tensors import check_devices, find_device


@dataclass(frozen=True)
class SlideRun:
    """What became of each slide of a run.

    Attributes:
        out: folder of the results.
        records: one for each slide, sorted by the slide's path.
        ignored: files among the inputs that are no slides by their suffix.
    """

    out: Path
    records: tuple[SlideRecord, ...]
    ignored: tuple[Path, ...] = ()

    @property
    def failed(self) -> tuple[SlideRecord, ...]:
        """Slides that have no output because of an error."""
        return tuple(record for record in self.records if record.status == "failed")


def slide(
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
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
) -> SlideRun:
    """Stain whole slides: for each a pyramidal OME-TIFF that lines up with the H&E.

    Beside ``NAME.ome.tif`` stand ``NAME.thumbnail.png``, ``NAME.preview.png`` (H&E and virtual stain),
    ``NAME.tissue.geojson`` for QuPath and ``NAME.json``, the slide's record. A run that was killed continues where it
    was when the same command is given again; the result is the same, byte for byte. What the same stainer made of the
    same slide with the same options is left alone; other results of restain are replaced, and the record notes why.
    ``summary.csv``, ``summary.json`` and ``summary.html`` list all slides of the folder, also those of earlier runs and
    of other processes, and ``qupath.groovy`` adds them to a QuPath project.

    Args:
        stainer: stainer folder or run folder.
        input: a slide, a folder (searched below, its structure kept), or several of them.
        out: folder for the results.
        options: resolution, normalisation, compression, what to skip.
        device: auto, cpu or cuda.
        tissue: GeoJSON of the tissue, a file for one slide or a folder of ``NAME.tissue.geojson``; in pixels of the
            H&E's level 0, as QuPath exports it. It is searched for in the slide where this is left out.
        roi: GeoJSON of the region of interest in the same form (``NAME.roi.geojson``): only what lies in it is stained,
            with the statistics of the whole slide, so that its pixels are those that the whole slide would have.
        mpp_table: CSV file with the columns ``slide`` and ``mpp``, for slides that lack a resolution of their own.
        devices: processes on this machine that stain one slide each: one per GPU, or on a CPU any number. A process
            that is lost is started again, and its slide continues from its journal.
        engine: "local" stains on this machine; "ray" spreads the slides over a Ray cluster, the one that is running or
            a local one, and repeats what a lost worker was staining.
        workers: with Ray, processes; by default one for each GPU, or for each 4 cores where there is none.

    Returns:
        a record for each slide. One bad slide does not stop the others.

    Raises:
        RestainError: no usable stainer or device, more devices than there are, tiles that are no multiple of its
            generator's stride, a norm that it has no statistics for, no slides, two slides that would get the same
            name, or an ``out`` that is a file or holds another program's summary.
    """
    tissue_path, roi_path, table = (None if path is None else Path(path) for path in (tissue, roi, mpp_table))
    listed = list_jobs(input, Path(out), tissue=tissue_path, roi=roi_path, mpp_table=table)
    check_run(Path(out), device, devices, engine, workers)
    here = engine == "local" and devices == 1
    ready = load_stainer(stainer, find_device(device) if here else "cpu")  # a bad one is refused before any worker
    needs_of(ready, options.norm).footprint.check_side(options.tile)
    if engine == "ray":
        from restain.slides.run.ray_engine import stain_on_ray

        arriving = stain_on_ray(listed.jobs, Path(stainer), options, device, workers)
    elif here:
        arriving = _stain_here(listed.jobs, ready, options)
    else:
        arriving = stain_in_processes(listed.jobs, Path(stainer), options, find_device(device), devices)
    records: list[SlideRecord] = []
    with closing(arriving):  # processes end with the run, however that ends
        for record in arriving:
            records.append(record)
            update_summary(Path(out), records)
    return SlideRun(Path(out), tuple(sorted(records, key=lambda record: record.slide)), listed.ignored)


def check_run(out: Path, device: str, devices: int, engine: str, workers: int | None) -> None:
    """What is refused before a stainer is loaded, by a run and by a dry run alike.

    Raises:
        RestainError: ``out`` is a file or holds another program's summary, no usable device, more devices than there
            are, another engine, or devices or workers that are not the engine's.
    """
    require_folder_or_none(out)
    check_summary(out)
    if engine == "ray":
        if devices != 1:
            raise RestainError(f"devices is {devices} with engine ray; expected workers instead")
    elif engine == "local":
        if workers is not None:
            raise RestainError(f"workers is {workers} with engine local; expected devices instead")
        check_devices(devices, find_device(device))
    else:
        raise RestainError(f"engine is {engine!r}; expected local or ray")


def _stain_here(jobs: Sequence[Job], stainer: Stainer, options: SlideOptions) -> Generator[SlideRecord]:
    for job in jobs:
        yield stain_slide(job, stainer, options)
