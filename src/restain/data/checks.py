"""One pair looked at closely: every byte read, every pixel decoded, the motion between the stains estimated."""

from __future__ import annotations

from dataclasses import dataclass

from restain.alignment.pictures import Alignment, estimate_alignment
from restain.data.records import ImageRef, Record
from restain.errors import RestainError, os_reason
from restain.files import sha256
from restain.images import RGB


@dataclass(frozen=True)
class ImageCheck:
    """One image, fully decoded."""

    image: ImageRef
    size: tuple[int, int] | None  # (height, width); None where the file cannot be read
    error: str  # "" where the file is sound
    digest: str  # SHA-256 of the file, "" where it cannot be opened


@dataclass(frozen=True)
class PairCheck:
    """One record with what was found in its files."""

    record: Record
    source: ImageCheck | None
    target: ImageCheck | None
    alignment: Alignment | None  # None where a side is missing or unreadable, sizes differ or nothing can be seen

    def images(self) -> list[ImageCheck]:
        """The sides that are there."""
        return [check for check in (self.source, self.target) if check]


def check_pair(record: Record) -> PairCheck:
    """Decode both sides of a record; faults are recorded, not raised."""
    source, he = _check_image(record.source)
    target, ihc = _check_image(record.target)
    if he is None or ihc is None or he.shape != ihc.shape:
        return PairCheck(record, source, target, None)
    return PairCheck(record, source, target, estimate_alignment(he, ihc))


def _check_image(image: ImageRef | None) -> tuple[ImageCheck | None, RGB | None]:
    if image is None:
        return None, None
    try:
        digest = sha256(image.path)
    except RestainError as error:
        return ImageCheck(image, None, str(error), ""), None
    except OSError as error:
        return ImageCheck(image, None, f"{image.path}: cannot be opened ({os_reason(error)})", ""), None
    try:
        rgb = image.read()
    except RestainError as error:
        return ImageCheck(image, None, str(error), digest), None
    return ImageCheck(image, (rgb.shape[0], rgb.shape[1]), "", digest), rgb
