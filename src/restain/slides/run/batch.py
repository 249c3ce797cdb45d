"""Many slides: names, summary, and the machines that they are spread over."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from restain.errors import RestainError
from restain.files import write_json, write_text
from restain.slides.plan import SlideOptions
from restain.slides.run.single import SUFFIX, Job, SlideRecord, stain_slide
from restain.stainer import load_stainer
from restain.tensors import find_device
from restain.wsi.reader import list_slides


@dataclass(frozen=True)
class SlideRun:
    """What became of each slide; also in ``summary.csv`` and ``summary.json``."""

    out: Path
    records: tuple[SlideRecord, ...]

    @property
    def failed(self) -> tuple[SlideRecord, ...]:
        """Slides that have no output because of an error."""
        return tuple(record for record in self.records if record.status == "failed")


def slide(
    stainer: str | Path,
    input: str | Path | Sequence[str | Path],
    out: str | Path,
    options: SlideOptions = SlideOptions(),  # noqa: B008 - frozen
    device: str = "auto",
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
) -> SlideRun:
    """Stain whole slides: for each a pyramidal OME-TIFF that lines up with the H&E.

    Beside ``NAME.ome.tif`` stand ``NAME.thumbnail.png``, ``NAME.preview.png`` (H&E and virtual stain),
    ``NAME.tissue.geojson`` for QuPath and ``NAME.json``, the slide's record. A run that was killed continues where it
    was when the same command is given again; the result is the same, byte for byte.

    Args:
        stainer: stainer folder or run folder.
        input: a slide, a folder (searched below, its structure kept), or several of them.
        out: folder for the results.
        options: resolution, normalisation, compression, what to skip.
        device: auto, cpu or cuda.
        engine: "local" does one slide after another in this process; "ray" spreads them over a Ray cluster, the one
            that is running or a local one, and repeats what a lost worker had in hand.
        workers: with Ray, processes; by default one for each GPU, or for each 4 cores where there is none.

    Returns:
        a record for each slide. One bad slide does not stop the others.

    Raises:
        RestainError: no usable stainer or device, no slides, or two slides that would get the same name.
    """
    jobs = list_jobs(input, Path(out))
    if engine == "ray":
        from restain.slides.run.ray_engine import stain_on_ray

        load_stainer(stainer)  # a bad one is refused here, not by every worker
        arriving = stain_on_ray(jobs, Path(stainer), options, device, workers)
    elif engine == "local":
        arriving = _stain_here(jobs, Path(stainer), options, device)
    else:
        raise RestainError(f"engine is {engine!r}; expected local or ray")
    records: list[SlideRecord] = []
    for record in arriving:
        records.append(record)
        run = SlideRun(Path(out), tuple(sorted(records, key=lambda one: one.slide)))
        _write_summary(run)
    return run


def list_jobs(input: str | Path | Sequence[str | Path], out: Path) -> list[Job]:
    """Which slides there are and where each result goes.

    Raises:
        RestainError: there are none, two would get the same name, one would be written over, ``out`` is their own
            folder, or a name is not UTF-8.
    """
    inputs = [Path(input)] if isinstance(input, str | Path) else [Path(path) for path in input]
    jobs: dict[Path, Job] = {}
    for path in inputs:
        slides = list_slides([path])
        single = slides == [path]  # a folder of DICOM files is one slide
        base = path.absolute().parent if single else path.absolute()
        if not single and base.resolve() == out.resolve():
            raise RestainError(f"{out}: is the folder of the slides; results would be taken for slides, name another")
        inner = base.resolve() in out.resolve().parents  # a folder for results among the slides: not slides themselves
        for source in slides:
            if inner and out.resolve() in source.resolve().parents:
                continue
            target = _target(source, base, out)
            if target in jobs and jobs[target].source != source:
                raise RestainError(f"{jobs[target].source} and {source}: would both be written to {target}")
            jobs[target] = Job(source, target)
    if not jobs:
        raise RestainError(f"{', '.join(map(str, inputs))}: holds no slides")
    return list(jobs.values())


def _target(source: Path, base: Path, out: Path) -> Path:
    target = out / source.absolute().relative_to(base).with_name(_stem(source) + SUFFIX)
    if target.resolve() == source.resolve():
        raise RestainError(f"{source}: would be written over; name another folder for the results than {out}")
    try:
        str(target).encode()
    except UnicodeEncodeError:  # Python keeps bytes of another encoding as halves of surrogates
        raise RestainError(f"{str(source)!r}: is not a name in UTF-8, and no summary can hold it; rename it") from None
    return target


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".ome.tif", ".ome.tiff", ".ome.btf"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem if path.is_file() else path.absolute().name


def _stain_here(jobs: Sequence[Job], stainer: Path, options: SlideOptions, device: str) -> Iterator[SlideRecord]:
    ready = load_stainer(stainer, find_device(device))
    return (stain_slide(job, ready, options) for job in jobs)


def _write_summary(run: SlideRun) -> None:
    names = [field.name for field in fields(SlideRecord)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for record in run.records:
        row = asdict(record)
        writer.writerow(row | {"warnings": "; ".join(record.warnings)})
    write_text(run.out / "summary.csv", text.getvalue())
    write_json(run.out / "summary.json", {"slides": [asdict(record) for record in run.records]})


def print_run(run: SlideRun, console: Console | None = None) -> None:
    """Print a table of the slides, and a sentence for each that failed or warned."""
    console = console or Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"{len(run.records)} slides in {run.out}")
    for heading in ("slide", "status", "seconds", "Mpx", "Mpx/s", "tissue, mm²", "seam score"):
        table.add_column(heading, justify="left" if heading in ("slide", "status") else "right")
    for record in run.records:
        table.add_row(
            escape(Path(record.slide).name),
            record.status,
            *(
                "–" if value is None else f"{value:.3g}"
                for value in (record.seconds, record.megapixels, record.rate, record.tissue_mm2, record.seam_score)
            ),
        )
    console.print(table)
    for record in run.records:
        for sentence in (*record.warnings, *([record.error] if record.error else [])):
            console.print(f"{Path(record.slide).name}: {sentence}", markup=False, soft_wrap=True)
