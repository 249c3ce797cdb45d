"""Which images belong together: fields of one slide are not independent, so intervals must not count them singly."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.data.records import group_of
from restain.errors import RestainError
from restain.metrics.statistics.bootstrap import Groups


@dataclass(frozen=True)
class Grouping:
    """The group of each image, and in words how it was found."""

    rule: str
    names: tuple[str, ...] | None  # one per image; None: every image by itself

    @property
    def numbers(self) -> Groups | None:
        """Groups as numbers (n,), or ``None``."""
        return None if self.names is None else np.unique(self.names, return_inverse=True)[1].astype(np.int64)

    @property
    def count(self) -> int | None:
        """How many groups there are."""
        return None if self.names is None else len(set(self.names))


def group_images(ids: Sequence[str], groups: str | Path) -> Grouping:
    """Find the group of each image.

    Args:
        ids: relative paths without suffix.
        groups: "auto", "none", a CSV file with the columns id and group, or a regular expression with one group.

    Raises:
        RestainError: the file or the expression is wrong, or leaves an image without a group.
    """
    groups = str(groups)
    if groups == "none":
        return Grouping("none: every image by itself", None)
    if groups == "auto":
        names = [group_of(one) for one in ids]
        if any(name is None for name in names):
            return Grouping("auto: no slide in the names of the images; every image by itself", None)
        return Grouping("auto: slide or field of view, from the names of the images", tuple(map(str, names)))
    if groups.lower().endswith(".csv"):
        return Grouping(f"from {Path(groups).name}", _from_table(ids, Path(groups)))
    return Grouping(f"pattern {groups}", _from_pattern(ids, groups))


def _from_table(ids: Sequence[str], path: Path) -> tuple[str, ...]:
    if not path.is_file():
        raise RestainError(f"groups: {path}: no such file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"id", "group"} <= set(reader.fieldnames or ()):
                seen = ", ".join(reader.fieldnames or ()) or "none"
                raise RestainError(f"groups: {path}: has the columns {seen}; expected id and group")
            group = {row["id"]: row["group"] for row in reader}
    except (UnicodeDecodeError, csv.Error) as error:
        raise RestainError(f"groups: {path}: is not a CSV text file ({error})") from error
    absent = [one for one in ids if not group.get(one)]
    if absent:
        raise RestainError(f"groups: {path}: has no group for {absent[0]} ({len(absent)} images of {len(ids)})")
    return tuple(group[one] for one in ids)


def _from_pattern(ids: Sequence[str], pattern: str) -> tuple[str, ...]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RestainError(f"groups: {pattern!r} is not a regular expression ({error})") from error
    if compiled.groups != 1:
        raise RestainError(
            f"groups: is {pattern!r}; expected auto, none, a .csv file, "
            "or a regular expression with one group in brackets"
        )
    found = [compiled.search(one) for one in ids]
    absent = [one for one, match in zip(ids, found, strict=True) if match is None or not match[1]]
    if absent:
        raise RestainError(
            f"groups: {pattern!r} finds no group in {absent[0]} ({len(absent)} images of {len(ids)}); "
            "expected one in every name"
        )
    return tuple(match[1] for match in found if match)
