"""Which slides a batch stains, and the names of what is written for each. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restain.errors import RestainError
from restain.wsi.discovery import find_slides

SUFFIX = ".ome.tif"
BESIDE = (".thumbnail.png", ".preview.png", ".tissue.geojson", ".json")  # files that go with a slide


@dataclass(frozen=True)
class Job:
    """A slide and where its virtual stain goes."""

    source: Path
    target: Path

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
    ignored: tuple[Path, ...]


def list_jobs(input: str | Path | Sequence[str | Path], out: Path) -> JobList:
    """Which slides there are and where each result goes.

    Raises:
        RestainError: there are none, two would get the same name, one would be written over, ``out`` is their own
            folder, or a name is not UTF-8.
    """
    inputs = [Path(input)] if isinstance(input, str | Path) else [Path(path) for path in input]
    jobs: dict[Path, Job] = {}
    ignored: list[Path] = []
    for path in inputs:
        found = find_slides([path])
        ignored += found.ignored
        single = found.slides == (path,)  # a folder of DICOM files is one slide
        base = path.absolute().parent if single else path.absolute()
        if not single and base.resolve() == out.resolve():
            raise RestainError(f"{out}: is the folder of the slides; results would be taken for slides, name another")
        inner = base.resolve() in out.resolve().parents  # a folder for results among the slides: not slides themselves
        for source in found.slides:
            if inner and out.resolve() in source.resolve().parents:
                continue
            target = _target(source, base, out)
            if target in jobs and jobs[target].source != source:
                raise RestainError(f"{jobs[target].source} and {source}: would both be written to {target}")
            jobs[target] = Job(source, target)
    if not jobs:
        raise RestainError(f"{', '.join(map(str, inputs))}: holds no slides")
    return JobList(tuple(jobs.values()), tuple(ignored))


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
