"""One field of view, and all of them: what the layouts yield and the data sets read."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from restain.errors import RestainError
from restain.images import RGB, image_size, read_rgb

Half: TypeAlias = Literal["whole", "left", "right"]
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ImageRef:
    """One image: a whole file, or the left or right half of a side-by-side file."""

    path: Path
    half: Half = "whole"

    def read(self) -> RGB:
        """The pixels, uint8 (H, W, 3)."""
        rgb = read_rgb(self.path)
        if self.half == "whole":
            return rgb
        middle = self._half_width(rgb.shape[1])
        return np.ascontiguousarray(rgb[:, :middle] if self.half == "left" else rgb[:, middle:])

    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, from the file's header."""
        height, width = image_size(self.path)
        return height, width if self.half == "whole" else self._half_width(width)

    def _half_width(self, width: int) -> int:
        if width % 2:
            raise RestainError(f"{self.path}: is {width} pixels wide; A|B side by side needs an even width")
        return width // 2

    def __str__(self) -> str:
        return str(self.path) if self.half == "whole" else f"{self.path} ({self.half} half)"


@dataclass(frozen=True)
class Record:
    """One field of view; ``None`` where that side has no file."""

    id: str  # path below the folder without suffix, e.g. "100M2004069_10_9"; unique within its split
    split: str
    group: str | None  # what must not be divided between splits: the slide where it is known
    source: ImageRef | None  # H&E
    target: ImageRef | None  # IHC
    weight: float = 1.0  # how much the pair should count where the IHC is compared with, 0 to 1
    label: str = ""  # what the field shows, as a manifest says it, such as "tumour"; empty where nothing is said


@dataclass(frozen=True)
class Manifest:
    """All records that a folder holds, sorted by split and id."""

    layout: str
    root: Path
    records: tuple[Record, ...]

    def pairs(self, split: str) -> list[Record]:
        """Records of a split with both sides, for paired training and evaluation."""
        return [record for record in self._of(split) if record.source and record.target]

    def sources(self, split: str) -> list[Record]:
        """Records of a split with an H&E image, partner or not: one pool of unpaired training."""
        return [record for record in self._of(split) if record.source]

    def targets(self, split: str) -> list[Record]:
        """Records of a split with an IHC image, partner or not: the other pool of unpaired training."""
        return [record for record in self._of(split) if record.target]

    def alone(self, split: str) -> list[Record]:
        """Records of a split with one side only, which paired training leaves out."""
        return [record for record in self._of(split) if not (record.source and record.target)]

    def lighter(self, split: str, weight: float) -> list[Record]:
        """Pairs of a split that weigh less than ``weight``."""
        return [record for record in self.pairs(split) if record.weight < weight]

    def splits(self) -> list[str]:
        """Those of train, val and test that hold at least one record."""
        present = {record.split for record in self.records}
        return [split for split in SPLITS if split in present]

    def fingerprint(self) -> str:
        """SHA-256 over splits, ids, weights below 1, labels, paths and sizes; a resumed run must find it unchanged."""
        digest = hashlib.sha256()
        for record in self.records:
            line = [record.split, record.id, *([f"{record.weight:g}"] if record.weight != 1 else [])]
            line += [f"label={record.label}"] if record.label else []
            for image in (record.source, record.target):
                line += [self._describe(image)] if image else ["-"]
            digest.update(("\t".join(line) + "\n").encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _of(self, split: str) -> Iterable[Record]:
        return (record for record in self.records if record.split == split)

    def _describe(self, image: ImageRef) -> str:
        relative = Path(os.path.relpath(image.path, self.root)).as_posix()
        try:
            size = str(image.path.stat().st_size)
        except OSError:  # a link that leads nowhere: told by whoever reads it
            size = "-"
        return f"{relative}:{image.half}:{size}"


# MIST: slide, then the tile's row and column ("100M2004069_10_9"; the slide has letters). HEMIT: tile 1..25
# of a field, then the field's x and y ("10_10885_45506"); the field is the most that the name tells.
# BCI ("00820_test_2+") carries a running number and the slide's HER2 score, which is not a slide id.
_GROUPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(\w*[A-Za-z]\w*)_\d{1,4}_\d{1,4}"), lambda match: match[1]),
    (re.compile(r"\d{1,2}_(\d{4,6}_\d{4,6}(_\w+)?)"), lambda match: match[1]),
)


def group_of(name: str) -> str | None:
    """The slide (MIST) or field of view (HEMIT) that a tile's name tells; ``None`` where it tells neither."""
    stem = name.rsplit("/", 1)[-1]
    for pattern, group in _GROUPS:
        if match := pattern.fullmatch(stem):
            return group(match)
    return None
