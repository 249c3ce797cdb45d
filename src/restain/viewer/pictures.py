"""What there is to look at: pictures, and cases of pictures that show the same tissue."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Literal, TypeAlias

from restain.errors import RestainError
from restain.slides.record import NOTICE, SlideRecord, read_record
from restain.slides.run.job import SUFFIX

Role: TypeAlias = Literal["he", "virtual", "real", "other"]
ROLES: tuple[Role, ...] = ("he", "virtual", "real", "other")
ROLE_LABELS: dict[Role, str] = {"he": "H&E", "virtual": "virtual stain", "real": "real IHC", "other": ""}


@dataclass(frozen=True)
class Picture:
    """One slide or image, not opened yet.

    Attributes:
        path: the file, or the folder of a DICOM slide.
        role: what it shows: the H&E, a virtual stain, a real IHC, or something else.
        label: what the page calls it; the role alone says whether it is virtual.
        mpp: microns per pixel of its finest level, instead of what the file states.
        transform: a ``transform.json`` of ``restain register`` that puts it on the H&E.
    """

    path: Path
    role: Role
    label: str
    mpp: float | None = None
    transform: Path | None = None

    @cached_property
    def id(self) -> str:
        """Opaque: it tells nothing of the path, and is the same the next time, so that links stay good."""
        what = "\0".join((str(self.path.resolve()), self.role, str(self.mpp), str(self.transform)))
        return blake2b(what.encode("utf-8", "surrogateescape"), digest_size=9).hexdigest()


@dataclass(frozen=True)
class Case:
    """Pictures of the same tissue, in the order of their panes, and what has to be said of them."""

    title: str
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()

    @cached_property
    def id(self) -> str:
        """Opaque, and the same the next time."""
        what = "\0".join((self.title, *(picture.id for picture in self.pictures)))
        return blake2b(what.encode("utf-8", "surrogateescape"), digest_size=9).hexdigest()


def record_of(path: Path) -> SlideRecord | None:
    """The record that ``restain slide`` wrote beside its result; None where there is none that can be read."""
    beside = beside_slide(path, ".json")
    if not path.name.endswith(SUFFIX) or not beside.is_file():
        return None
    try:
        record = read_record(beside)
    except RestainError:  # some other tool's JSON file
        return None
    return record if Path(record.output).name == path.name else None


def beside_slide(path: Path, suffix: str) -> Path:
    """A file beside a slide that is named after it: ``a.ome.tif`` and ``.json`` give ``a.json``."""
    stem = path.name.removesuffix(SUFFIX) if path.name.endswith(SUFFIX) else path.stem
    return path.with_name(stem + suffix)


def says_virtual(description: str) -> bool:
    """Whether the text in a slide file carries the notice that ``restain slide`` writes into it."""
    return NOTICE in description
