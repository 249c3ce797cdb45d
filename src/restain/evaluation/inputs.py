"""The inputs of an evaluation: systems by name, and which image of one folder belongs to which of another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.errors import RestainError
from restain.evaluation.workers import in_threads
from restain.images import image_size, list_images, read_rgb, write_png
from restain.label_images import read_mask

VIRTUAL, UNCHANGED, TRANSFER, CEILING = "virtual", "H&E unchanged", "colour transfer", "second section"
MASK = "mask"
_ROLES = {VIRTUAL: "fake", UNCHANGED: "source", CEILING: "repeat"}
_RESERVED = ("real", "reference", MASK, TRANSFER, *_ROLES.values(), UNCHANGED, CEILING)
_SHOWN = 10  # names in a message before "and n more"


def name_systems(fake: str | Path | Mapping[str, str | Path]) -> dict[str, Path]:
    """Folders of virtual stains by the name of their system; one folder without a name is "virtual".

    Raises:
        RestainError: there is none, or a name is empty, is taken, holds a colon or a slash, or leads elsewhere.
    """
    if not isinstance(fake, Mapping):
        return {VIRTUAL: Path(fake)}
    if not fake:
        raise RestainError("fake: names no system; expected at least one folder of virtual stains")
    for name in fake:
        if name.strip() in ("", ".", "..") or name in _RESERVED or set(name) & set(":/\\"):  # it names a folder
            raise RestainError(
                f"fake: a system cannot be called {name!r}; expected a name without colon or slash, other than "
                + ", ".join(_RESERVED)
            )
    return {name: Path(folder) for name, folder in fake.items()}


def parse_systems(words: Sequence[str]) -> str | dict[str, str]:
    """``fake`` of ``evaluate`` from words of a command line: one DIR, or NAME=DIR for each system.

    Raises:
        RestainError: several folders, of which one has no name, or a name that stands twice.
    """
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    named: dict[str, str] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or not folder:
            raise RestainError(f"--fake: is {word!r}; expected NAME=DIR where several systems are evaluated")
        if name in named:
            raise RestainError(f"--fake: the name {name!r} is given twice; expected a different name for each system")
        named[name] = folder
    return named


def role_of(system: str) -> str:
    """The word for a system's folder in the summary: "fake" where it has no name of its own."""
    return _ROLES.get(system, system)


@dataclass(frozen=True)
class Match:
    """One field of view: a file per role, such as ``real`` and ``fake``, all of one size."""

    id: str  # relative path without suffix, with forward slashes
    files: Mapping[str, Path]  # by role
    size: tuple[int, int]  # (height, width) in pixels


def match_images(folders: Mapping[str, Path], smallest: int = 1) -> list[Match]:
    """Match the images of several folders by their relative path without suffix.

    Args:
        folders: by role, at least one. The role names the folder in messages.
        smallest: least height and width in pixels that is accepted.

    Returns:
        Matches sorted by id.

    Raises:
        RestainError: a folder is missing or holds no image, two files of one folder share a name, a partner is missing,
            or sizes differ or are too small. The message lists the files.
    """
    indexed = {role: _index(role, folder) for role, folder in folders.items()}
    _refuse_missing(indexed)
    return _with_sizes(indexed, smallest)


def _index(role: str, folder: Path) -> dict[str, Path]:
    found: dict[str, list[Path]] = {}
    for path in list_images(folder):
        found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    if not found:
        raise RestainError(f"{role} folder {folder}: holds no image; expected PNG, JPEG, TIFF or WebP files")
    twice = [" and ".join(path.name for path in paths) for paths in found.values() if len(paths) > 1]
    if twice:
        raise RestainError(f"{role} folder {folder}: files share one name up to the suffix: {listed(twice)}")
    return {name: paths[0] for name, paths in found.items()}


def _refuse_missing(indexed: Mapping[str, Mapping[str, Path]]) -> None:
    everything = sorted(set().union(*indexed.values()))
    complaints = []
    for role, files in indexed.items():
        by_lower = {name.lower(): name for name in files}
        absent = [name for name in everything if name not in files]
        named = [
            f"{name} (differs from {by_lower[name.lower()]} in upper and lower case)"
            if name.lower() in by_lower
            else name
            for name in absent
        ]
        if named:
            complaints.append(f"{role} has no {listed(named)}")
    if complaints:
        raise RestainError(f"images without a partner of the same name: {'; '.join(complaints)}")


def _with_sizes(indexed: Mapping[str, Mapping[str, Path]], smallest: int) -> list[Match]:
    matches, different, small = [], [], []
    for name in sorted(next(iter(indexed.values()))):
        files = {role: paths[name] for role, paths in indexed.items()}
        sizes = {role: image_size(path) for role, path in files.items()}
        if len(set(sizes.values())) > 1:
            described = ", ".join(f"{role} {format_size(size)}" for role, size in sizes.items())
            different.append(f"{name} ({described})")
            continue
        size = next(iter(sizes.values()))
        if min(size) < smallest:
            small.append(f"{name} ({format_size(size)})")
        matches.append(Match(name, files, size))
    if different:
        raise RestainError(f"images of a pair differ in size (width x height): {listed(different)}")
    if small:
        raise RestainError(f"images are smaller than {smallest} pixels on a side: {listed(small)}")
    return matches


def crop_all(matches: Sequence[Match], side: int, seed: int, folder: Path) -> list[Match]:
    """Write a random square of each field to ``folder``, at the same place in all its images, and match those files.

    Args:
        matches: fields of view.
        side: of the square, pixels.
        seed: with the id of a field it decides the place, whatever other fields there are.
        folder: for the cropped images, lossless.

    Raises:
        RestainError: an image is smaller than the square.
    """
    small = [f"{match.id} ({format_size(match.size)})" for match in matches if min(match.size) < side]
    if small:
        raise RestainError(f"images are smaller than the protocol's crop of {side} pixels on a side: {listed(small)}")

    def crop(match: Match) -> Match:
        digest = hashlib.sha256(f"{seed} {match.id}".encode()).digest()
        generator = np.random.default_rng(list(digest))
        top, left = (int(generator.integers(length - side + 1)) for length in match.size)
        files = {}
        for role, path in match.files.items():
            files[role] = folder / role.replace("/", "_") / f"{match.id}.png"
            pixels = 255 * read_mask(path, match.size).astype(np.uint8) if role == MASK else read_rgb(path)
            write_png(files[role], pixels[top : top + side, left : left + side])
        return Match(match.id, files, (side, side))

    return list(in_threads(crop, matches, "cropping"))


def format_size(size: tuple[int, int]) -> str:
    """'width x height' of a (height, width)."""
    return f"{size[1]}x{size[0]}"


def listed(names: Iterable[str]) -> str:
    """Names with commas, the first ten of many."""
    names = list(names)
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
