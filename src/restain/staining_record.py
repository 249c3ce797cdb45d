"""What says where a virtual stain comes from: a text in each PNG, and ``staining.json`` beside the images. No torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from restain.errors import RestainError, in_short
from restain.files import read_json, write_json
from restain.images import png_text
from restain.sections import Section

NAME = "staining.json"
NOTICE = "virtual stain, not a real IHC; for research, not for clinical use"
_KEY = "restain"  # of the text in a PNG


class ImageOrigin(Section):
    """What decides the pixels of one virtual image; written into its PNG."""

    stainer: str  # SHA-256 of the weights and of the statistics that belong to them
    weights_sha256: str | None = None  # of the weights alone; None in files of 0.2.0 and older
    norm: str
    statistics: str | None  # SHA-256 of those of a folder, where its images were normalised by them
    precision: str
    source: str  # SHA-256 of the H&E file

    def texts(self, stain: str | None, software: str) -> dict[str, str]:
        """The texts of a PNG that hold it, for programs and for people."""
        return {
            "Title": f"virtual {stain or 'IHC'}",
            "Description": NOTICE,
            "Software": software,
            _KEY: self.model_dump_json(),
        }


class Stained(Section):
    """One image in the record."""

    source: str  # name of the H&E file
    origin: ImageOrigin


class StainingRecord(Section):
    """``staining.json``: which stainer made the images of a folder, and from what."""

    notice: str = NOTICE
    restain: str  # versions
    torch: str
    written: str  # UTC, ISO 8601: when the newest image was made
    recipe: str
    stain: str | None
    mpp: float | None  # microns per pixel at which the stainer works
    weights_sha256: str
    images: dict[str, Stained]  # by their path in the folder


def origin_of(path: Path) -> ImageOrigin | None:
    """What a PNG says of its origin; None where restain did not write it."""
    try:
        return ImageOrigin.model_validate_json(png_text(path)[_KEY])
    except (RestainError, KeyError, ValidationError):
        return None


def read_staining(folder: Path) -> StainingRecord | None:
    """The record of a folder of virtual stains; None where there is none.

    Raises:
        RestainError: the file is not one that ``restain stain`` wrote.
    """
    path = folder / NAME
    if not path.is_file():
        return None
    content = read_json(path)
    try:
        return StainingRecord.model_validate(content)
    except ValidationError as error:
        raise RestainError(f"{path}: is not a record of restain stain ({in_short(error)})") from None


def write_staining(folder: Path, record: StainingRecord) -> None:
    """Write the record, whole or not at all; images of earlier runs that are still there stay in it."""
    earlier = read_staining(folder)
    kept = {name: image for name, image in (earlier.images if earlier else {}).items() if (folder / name).is_file()}
    whole = record.model_copy(update={"images": dict(sorted((kept | record.images).items()))})
    write_json(folder / NAME, whole.model_dump(mode="json"))
