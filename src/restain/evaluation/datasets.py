"""What is known of the data: its name, split, marker and pixel size, each with where it is known from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restain.errors import RestainError
from restain.files import read_json
from restain.images import list_images
from restain.metrics.measures import Marker

LOCATIONS: dict[str, Marker] = {
    "er": "nuclear",
    "pr": "nuclear",
    "ki67": "nuclear",
    "p53": "nuclear",
    "foxp3": "nuclear",
    "her2": "membrane",
    "egfr": "membrane",
    "cd3": "membrane",
    "cd8": "membrane",
    "cd20": "membrane",
    "pdl1": "membrane",
    "panck": "cytoplasm",
    "ck": "cytoplasm",
    "vimentin": "cytoplasm",
}  # stain to where its DAB lies; looked up without spaces, hyphens and case
_PLACES: tuple[Marker, ...] = ("nuclear", "membrane", "cytoplasm")
_MIST = re.compile(r"\d+[A-Z]+\d{5,}_\d{1,4}_\d{1,4}")  # 100M2004069_10_9: slide, row, column
_MIST_MPP = 0.4661  # Li et al., MICCAI 2023
_SPLIT = re.compile(r"(train|val|test)[ab]?")  # of a folder's name: "valB", "test"
_BCI = re.compile(r"\d{5}_(train|test)_[0-3]\+?")  # 00820_test_2+


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """What the names and the place of the images tell; None where they do not."""

    name: str | None = None  # as in the published scores: "mist-her2", "bci"
    split: str | None = None  # "train", "val" or "test"
    stain: str | None = None
    mpp: float | None = None  # microns per pixel
    source: str = ""  # how it is known, in words


@dataclass(frozen=True)
class Known:
    """A value and where it is known from."""

    value: Any
    source: str


def recognise(ids: Sequence[str], real: Path) -> DataSet:
    """What is known of a data set from the names of its images, its folders and a ``phantom.json`` beside them.

    Args:
        ids: relative paths without suffix.
        real: folder of the real IHC.
    """
    parts = [part.lower() for part in real.resolve().parts]
    split = next((match[1] for part in reversed(parts[-2:]) if (match := _SPLIT.fullmatch(part))), None)
    stems = [one.rsplit("/", 1)[-1] for one in ids]
    if all(_BCI.fullmatch(stem) for stem in stems):
        splits = {stem.split("_")[1] for stem in stems}
        source = "the names of the images are BCI's"
        return DataSet(name="bci", split=splits.pop() if len(splits) == 1 else None, stain="her2", source=source)
    if all(_MIST.fullmatch(stem) for stem in stems):
        stain = next((part for part in reversed(parts) if part in ("her2", "er", "pr", "ki67")), None)
        name = f"mist-{stain}" if stain else None
        source = "the names of the images are MIST's"
        return DataSet(name=name, split=split, stain=stain, mpp=_MIST_MPP, source=source)
    phantom = real.resolve().parent / "phantom.json"
    if phantom.is_file():
        drawn = read_json(phantom)
        mpp, stain = drawn.get("mpp"), drawn.get("marker")
        return DataSet(
            split=split,
            stain=stain if isinstance(stain, str) else None,
            mpp=float(mpp) if isinstance(mpp, int | float) else None,
            source=f"{phantom.name} beside the real images",
        )
    return DataSet(split=split)


def second_section(real: Path) -> Path | None:
    """The IHC of the H&E's own section, where the real IHC is that of the next section of virtual tissue.

    Args:
        real: folder of the real IHC, as ``restain phantom`` wrote it.
    """
    root, split = real.resolve().parent, _SPLIT.fullmatch(real.resolve().name.lower())
    folder = root / "truth" / split[1] / "aligned" if split else None
    if folder is None or not folder.is_dir() or not (root / "phantom.json").is_file():
        return None
    names = [{path.stem for path in list_images(one)} for one in (real, folder)]
    return folder if names[0] == names[1] else None


def find_mpp(given: float | None, data: DataSet, stainer: Path | None, recorded: float | None) -> Known:
    """Microns per pixel, and where it is known from; the value is None where none is known.

    Args:
        given: by the user; it comes first.
        data: what is known of the data set; it comes second.
        stainer: folder of the stainer that the user named.
        recorded: at which the stainer works that made the images, as ``staining.json`` has it.
    """
    if given is not None:
        return Known(given, "given")
    if data.mpp is not None:
        return Known(data.mpp, data.source)
    if stainer is not None:
        card = _read_card(stainer)
        mpp = card.get("mpp")
        if isinstance(mpp, int | float) and mpp > 0:
            return Known(float(mpp), "of the images that the stainer was trained on")
    elif recorded is not None:
        return Known(recorded, "of the stainer that made the images, by their staining.json")
    return Known(None, "not known: give --mpp, or --stainer with a stainer that knows it")


@dataclass(frozen=True)
class KnownMarker(Known):
    """Where the DAB lies, and of which stain it is, where that is known."""

    stain: str | None = None  # as in ``LOCATIONS``


def find_marker(given: str | None, data: DataSet, stainer: Path | None, recorded: str | None) -> KnownMarker:
    """Where the DAB lies: as given (a place or the name of a stain), else by the data set or the stainer.

    The arguments are as for ``find_mpp``.

    Raises:
        RestainError: what was given is neither a place nor a known stain.
    """
    if given is not None:
        place = given if given in _PLACES else LOCATIONS.get(_plain(given))
        if place is None:
            raise RestainError(
                f"marker: {given!r} is not known; expected {', '.join(_PLACES)}, or a stain such as "
                f"{', '.join(list(LOCATIONS)[:3])}"
            )
        return KnownMarker(place, "given", _plain(given) if _plain(given) in LOCATIONS else None)
    stain, source = data.stain, data.source
    if stain is None and stainer is not None:
        stain, source = _read_card(stainer).get("stain"), "the stainer"
    elif stain is None:
        stain, source = recorded, "staining.json beside the images"
    if isinstance(stain, str) and _plain(stain) in LOCATIONS:
        return KnownMarker(LOCATIONS[_plain(stain)], f"{stain}: {source}", _plain(stain))
    return KnownMarker(None, "not known: cells are counted as of a nuclear stain; give --marker, and their scores vote")


def _plain(stain: str) -> str:
    return re.sub(r"[\W_]", "", stain.lower())


def _read_card(stainer: Path) -> dict[str, Any]:
    for path in (stainer / "config.json", stainer / "stainer" / "config.json"):
        if path.is_file():
            return read_json(path)
    raise RestainError(f"stainer: {stainer}: is neither a stainer nor a run folder; expected config.json in it")
