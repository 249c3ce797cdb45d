"""Which slides a batch stains, what is known of each, and the names of what is written for it. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from restain.csv_text import read_table
from restain.errors import RestainError, quoted
from restain.files import require_file
from restain.wsi.discovery import find_slides
from restain.wsi.reader import MPP_RANGE

SUFFIX = ".ome.tif"
_LONGEST = 250  # bytes of a file name, with the dot of hidden ones
BESIDE = (".thumbnail.png", ".preview.png", ".tissue.geojson", ".json")  # files that go with a slide
_GIVEN = {"tissue": (".tissue.geojson", ".geojson"), "roi": (".roi.geojson", ".geojson")}  # names of contours


@dataclass(frozen=True)
class Job:
    """A slide and where its virtual stain goes.

    Attributes:
        source: the slide.
        target: the virtual slide.
        mpp: microns per pixel of the slide, where they are given for it alone.
        tissue: GeoJSON file with its tissue, where that is given.
        roi: GeoJSON file with the region of interest, where that is given.
    """

    source: Path
    target: Path
    mpp: float | None = None
    tissue: Path | None = None
    roi: Path | None = None

    def beside(self, suffix: str) -> Path:
        """A file next to the result, of the same name."""
        return self.target.with_name(self.target.name.removesuffix(SUFFIX) + suffix)

    def hidden(self, suffix: str) -> Path:
        """The same with a dot before its name, for what is temporary."""
        beside = self.beside(suffix)
        return beside.with_name("." + beside.name)


@dataclass(frozen=True)
class JobList:
    """Jobs, and the files among the inputs that are no slides by their suffix."""

    jobs: tuple[Job, ...]
    ignored: tuple[Path, ...] = field(default=())


def list_jobs(
    input: str | Path | Sequence[str | Path],
    out: Path,
    *,
    tissue: Path | None = None,
    roi: Path | None = None,
    mpp_table: Path | None = None,
) -> JobList:
    """Which slides there are and where each result goes.

    Args:
        input: a slide, a folder (searched below, its structure kept), or several of them.
        out: folder for the results.
        tissue: GeoJSON file of the only slide; or a folder with ``NAME.tissue.geojson`` or ``NAME.geojson`` for each,
            in the structure of the results or flat.
        roi: the same with regions of interest, ``NAME.roi.geojson`` or ``NAME.geojson``.
        mpp_table: CSV file with the columns ``slide`` (file name, with or without suffix, or the path as it is
            found) and ``mpp``.

    Raises:
        RestainError: there are no slides, two would get the same name, one would be written over, ``out`` is their own
            folder, a name is not UTF-8, tissue or a region is missing for a slide, or the table is not one.
    """
    inputs = [Path(input)] if isinstance(input, str | Path) else [Path(path) for path in input]
    if not inputs:
        raise RestainError("no slides are named; expected files or folders")
    jobs: dict[Path, Job] = {}
    ignored: list[Path] = []
    scales = _read_table(mpp_table) if mpp_table else {}
    for path in inputs:
        found = find_slides([path])
        ignored += found.ignored
        single = path in found.slides  # a file, or a folder of DICOM files
        base = path.absolute().parent if single else path.absolute()
        if path.is_dir() and path.resolve() == out.resolve():
            raise RestainError(
                f"{out}: is the folder of the slides, where results would be taken for slides; expected another folder"
            )
        inner = base.resolve() in out.resolve().parents  # a folder for results among the slides: not slides themselves
        for source in found.slides:
            if inner and out.resolve() in source.resolve().parents:
                continue
            target = _target(source, base, out)
            if target in jobs and jobs[target].source != source:
                raise RestainError(f"{jobs[target].source} and {source}: would both be written to {target}")
            jobs[target] = Job(source, target, _scale_of(source, scales))
    if not jobs:
        raise RestainError(f"{', '.join(map(str, inputs))}: holds no slides")
    if scales and all(job.mpp is None for job in jobs.values()):
        expected = f"expected file names such as {next(iter(jobs.values())).source.name}"
        raise RestainError(f"{mpp_table}: names none of the {len(jobs)} slides; {expected}")
    listed = list(jobs.values())
    if tissue is not None:
        listed = [replace(job, tissue=_given(job, "tissue", tissue, out, len(jobs))) for job in listed]
    if roi is not None:
        listed = [replace(job, roi=_given(job, "roi", roi, out, len(jobs))) for job in listed]
    return JobList(tuple(listed), tuple(ignored))


def _target(source: Path, base: Path, out: Path) -> Path:
    target = out / source.absolute().relative_to(base).with_name(_stem(source) + SUFFIX)
    if target.resolve() == source.resolve():
        raise RestainError(f"{source}: would be written over; name another folder for the results than {out}")
    try:
        str(target).encode()
    except UnicodeEncodeError:  # Python keeps bytes of another encoding as halves of surrogates
        raise RestainError(f"{str(source)!r}: is not a name in UTF-8, and no summary can hold it; rename it") from None
    longest = max(len((_stem(source) + suffix).encode()) for suffix in (*BESIDE, SUFFIX, ".unfinished"))
    if longest > _LONGEST:
        expected = f"expected at most {_LONGEST}; rename it"
        raise RestainError(f"{source}: results would have names of {longest} bytes; {expected}")
    return target


def _stem(path: Path) -> str:
    name = path.name
    for suffix in (".ome.tif", ".ome.tiff", ".ome.btf"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return path.stem if path.is_file() else path.absolute().name


def _given(job: Job, what: str, path: Path, out: Path, count: int) -> Path:
    """The GeoJSON file of a slide: the one that was named, or that of its name in a folder."""
    if not path.is_dir():
        require_file(path)
        if count > 1:
            raise RestainError(
                f"{path}: is the {what} of one slide, and there are {count}; name a folder of such files"
            )
        return path
    for folder in (path / job.target.parent.relative_to(out), path):
        for suffix in _GIVEN[what]:
            file = folder / job.beside(suffix).name
            if file.is_file():
                return file
    raise RestainError(f"{path}: holds no {job.beside(_GIVEN[what][0]).name} for {job.source}")


def _read_table(path: Path) -> dict[str, float]:
    """Microns per pixel by the names of a table."""
    scales: dict[str, float] = {}
    for where, row in read_table(path, ("slide", "mpp")):
        mpp = _number(row["mpp"])
        if not row["slide"]:
            raise RestainError(f"{where}: names no slide")
        if not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
            expected = f"microns per pixel from {MPP_RANGE[0]} to {MPP_RANGE[1]:g}"
            raise RestainError(f"{where}: mpp is {quoted(row['mpp'])}; expected {expected}")
        if scales.setdefault(row["slide"], mpp) != mpp:
            raise RestainError(f"{where}: names {quoted(row['slide'])} again, with another mpp")
    return scales


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _scale_of(source: Path, scales: Mapping[str, float]) -> float | None:
    names = (str(source), source.name, _stem(source))
    return next((scales[name] for name in names if name in scales), None)
