"""What is written about a slide: its record, the summary of a batch, and what a journal belongs to. No torch.

One schema for those who write these files and those who read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from pydantic import ValidationError

from restain.errors import RestainError
from restain.files import read_bytes
from restain.sections import Section
from restain.slides.options import Norm, Seams

PREVIEW_GAP = 16  # pixels between the H&E and the virtual stain in NAME.preview.png
NOTICE = "virtual stain, not a real IHC; for research, not for clinical use"
Status: TypeAlias = Literal["stained", "skipped", "busy", "failed"]


def listed_name(slide: str | Path, output: str | Path, out: Path) -> str:
    """How a list calls a slide: its file's name, after the folders below ``out`` that tell it from its namesakes."""
    folder, top = Path(output).absolute().parent, out.absolute()
    below = folder.relative_to(top) if folder.is_relative_to(top) else Path()
    return (below / Path(slide).name).as_posix()


class JournalIdentity(Section):
    """Everything that changes a pixel of a finished tile: a journal belongs to one of these."""

    slide: str  # fingerprint of the slide's files
    slide_mpp: float  # µm
    tissue: str | None  # SHA-256 of the file that says where it is
    roi: str | None = None  # SHA-256 of the file with the region of interest
    weights_sha256: str
    stainer_sha256: str  # of the weights and of the statistics that belong to them
    restain: str  # versions
    torch: str
    device: str
    precision: Literal["32", "bf16"]
    mpp: float  # of the network's grid
    width: int  # of the network's grid, pixels
    height: int
    norm: Norm  # whose statistics normalise
    tile: int  # pixels
    halo: int  # pixels
    feather: int  # pixels; 0: tiles are not blended
    stain_background: bool


class Request(Section):
    """What was asked for: a finished slide of the same request is left alone."""

    slide: str  # fingerprint of its files
    stainer: str  # SHA-256 of its weights and of the statistics that belong to them
    tissue: str | None  # SHA-256 of the file that says where it is, where there is one
    roi: str | None = None  # SHA-256 of the file with the region of interest, where there is one
    mpp: float | None  # as it was given, µm
    model_mpp: float | None
    norm: Norm
    tile: int
    seams: Seams
    match_source: bool
    stain_background: bool
    lossless: bool
    quality: int
    precision: str

    def differences(self, other: Request) -> list[str]:
        """Names of the fields in which two requests differ."""
        return [name for name in type(self).model_fields if getattr(self, name) != getattr(other, name)]


class MadeBy(Section):
    """What made a virtual slide."""

    notice: str = NOTICE
    stain: str | None  # name of the marker
    recipe: str
    source: str  # file name of the H&E
    request: Request
    identity: JournalIdentity

    def description(self) -> dict[str, str]:
        """What stands in the slide file itself, as keys and values."""
        return {
            "Notice": self.notice,
            "Stain": self.stain or "not recorded",
            "Software": f"restain {self.identity.restain}",
            "Recipe": self.recipe,
            "WeightsSHA256": self.identity.weights_sha256,
            "Normalisation": self.identity.norm,
            "Seams": "feathered" if self.identity.feather else "exact",
            "Source": self.source,
        }


class SlideRecord(Section):
    """What became of a slide: ``NAME.json``, and a row of the batch's summary."""

    slide: str
    output: str
    status: Status
    slide_mpp: float | None = None  # µm per pixel of the slide's level 0
    written: str | None = None  # date and time, ISO 8601, UTC
    seconds: float | None = None  # of this run; the tiles of an interrupted one were counted earlier
    megapixels: float | None = None  # of the tiles that this run stained
    rate: float | None = None  # megapixels per second, from opening the slide to its last file
    tiles: int | None = None  # with tissue
    tiles_in_all: int | None = None
    mpp: float | None = None  # of the output
    width: int | None = None  # of the output, pixels
    height: int | None = None
    tissue_mm2: float | None = None
    background: tuple[int, int, int] | None = None  # colour of what was not stained
    norm: Norm | None = None  # whose statistics normalised
    appearance_distance: float | None = None  # from the H&E of the calibration, in standard deviations of crops
    seams: Literal["exact", "feather"] | None = None  # how tiles were joined
    seam_score: float | None = None  # steps across tile borders over steps beside them: 1 is none
    seam_borders: int | None = None  # tile borders behind the score; of few, chance in the tissue shows
    seam_step: float | None = None  # mean step along a tile border, in grey levels
    read_seconds: float | None = None  # that the network waited for pixels
    network_seconds: float | None = None
    write_seconds: float | None = None  # that the network waited for the writer
    error: str = ""
    warnings: tuple[str, ...] = ()
    stain: str | None = None  # name of the marker
    weights_sha256: str | None = None  # of the stainer
    made_by: MadeBy | None = None

    def row(self) -> dict[str, object]:
        """The record as a row of ``summary.csv``: without what made it, which ``NAME.json`` holds."""
        colour = " ".join(map(str, self.background or ()))
        return self.model_dump(exclude={"made_by"}) | {"warnings": "; ".join(self.warnings), "background": colour}

    @classmethod
    def columns(cls) -> list[str]:
        """Columns of ``summary.csv``."""
        return [name for name in cls.model_fields if name != "made_by"]


class BatchSummary(Section):
    """What became of all slides of a batch: ``summary.json``."""

    kind: Literal["restain slides"] = "restain slides"
    slides: tuple[SlideRecord, ...]


def read_record(path: Path) -> SlideRecord:
    """Read a ``NAME.json``.

    Raises:
        RestainError: it is missing or something else.
    """
    return _read(path, SlideRecord)


def read_summary(path: Path) -> BatchSummary:
    """Read a batch's ``summary.json``.

    Raises:
        RestainError: it is missing or something else.
    """
    return _read(path, BatchSummary)


_Kind = TypeVar("_Kind", bound=Section)


def _read(path: Path, kind: type[_Kind]) -> _Kind:
    content = read_bytes(path)
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise RestainError(f"{path}: is not a {kind.__name__} that restain wrote ({where}: {first['msg']})") from None
