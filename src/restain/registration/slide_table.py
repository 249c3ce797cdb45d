"""Which H&E slide goes with which IHC slide, by a CSV or by the names in a folder; which patient is in which split."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restain.csv_text import read_table
from restain.errors import RestainError
from restain.types import mix_seed
from restain.wsi.discovery import find_slides

COLUMNS = ("patient", "he", "ihc", "stain")
OPTIONAL = ("split", "he_mpp", "ihc_mpp")
_HE_WORDS = frozenset({"he", "hne", "h&e", "hematoxylin"})
_IHC_WORDS = frozenset({"ihc", "her2", "er", "pr", "ki67", "dab", "pdl1", "p53", "cd3", "cd8", "cd20", "cd31", "panck"})


@dataclass(frozen=True)
class SlidePair:
    """A row of the table.

    Attributes:
        name: unique, of letters, digits, "-"; it begins the names of its tiles.
        patient: what is never divided between splits.
        he: H&E slide.
        ihc: IHC slide of a section nearby.
        stain: of the IHC.
        split: train, val or test, or "" where it is to be drawn.
        he_mpp: microns per pixel instead of what the file states; None to believe it.
        ihc_mpp: the same.
    """

    name: str
    patient: str
    he: Path
    ihc: Path
    stain: str
    split: str = ""
    he_mpp: float | None = None
    ihc_mpp: float | None = None


def find_slide_pairs(source: str | Path) -> list[SlidePair]:
    """Pairs of slides from a CSV (patient, he, ihc, stain; also split, he_mpp, ihc_mpp), or from a folder.

    In a folder the two names of a pair are equal but for a word for the stain (``P1_HE.svs``, ``P1_ER.svs``), or are
    equal in two folders ``HE`` and ``IHC`` (or the marker's name). What is equal is the patient.

    Raises:
        RestainError: nothing there, a column or a slide is missing, a slide without partner, a patient in two splits.
    """
    source = Path(source)
    if not source.exists():
        raise RestainError(f"{source}: no such file or folder")
    pairs = _from_folder(source) if source.is_dir() else _from_csv(source)
    if not pairs:
        raise RestainError(f"{source}: names no pair of slides; expected at least one")
    splits = defaultdict(set)
    for pair in pairs:
        if pair.split:
            splits[pair.patient].add(pair.split)
    for patient, found in sorted(splits.items()):
        if len(found) > 1:
            raise RestainError(
                f"{source}: patient {patient} is in the splits {' and '.join(sorted(found))}; expected one"
            )
    return pairs


def draw_splits(pairs: Sequence[SlidePair], val: float, test: float, seed: int) -> dict[str, str]:
    """The split of each patient: as the table says, the others in a fixed random order of their names.

    Every split that is asked for gets a patient as soon as there are three to divide; training is never empty.
    """
    given = {pair.patient: pair.split for pair in pairs if pair.split}
    free = sorted({pair.patient for pair in pairs} - given.keys(), key=lambda name: mix_seed(seed, *name.encode()))
    patients = len(free)
    counts = {}
    for split, share in (("val", val), ("test", test)):
        counts[split] = max(round(share * patients), int(share > 0 and patients >= 3))
    while sum(counts.values()) >= patients and patients:
        largest = max(counts, key=lambda split: counts[split])
        counts[largest] -= 1
    drawn = ["val"] * counts["val"] + ["test"] * counts["test"]
    drawn += ["train"] * (patients - len(drawn))
    return given | dict(zip(free, drawn, strict=True))


def _from_csv(path: Path) -> list[SlidePair]:
    return _named([_csv_pair(path.parent, where, row) for where, row in read_table(path, COLUMNS)])


def _csv_pair(folder: Path, where: str, row: dict[str, str]) -> SlidePair:
    for name in COLUMNS[:3]:
        if not row[name]:
            raise RestainError(f"{where}: {name} is empty")
    for side in ("he", "ihc"):
        if not (folder / row[side]).exists():
            raise RestainError(f"{where}: {side} {row[side]!r} does not exist below {folder}")
    split = row.get("split", "")
    if split not in ("", "train", "val", "test"):
        raise RestainError(f"{where}: split is {split!r}; expected train, val, test or nothing")
    scales: list[float | None] = []
    for name in ("he_mpp", "ihc_mpp"):
        text = row.get(name, "")
        try:
            scales.append(float(text) if text else None)
        except ValueError:
            raise RestainError(f"{where}: {name} is {text!r}; expected a number of microns per pixel") from None
    he, ihc = folder / row["he"], folder / row["ihc"]
    return SlidePair("", row["patient"], he, ihc, row["stain"] or "IHC", split, scales[0], scales[1])


def _from_folder(folder: Path) -> list[SlidePair]:
    """By a word of the file's name, or of the folder above it."""
    sides: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in find_slides([folder]).slides:
        key, stain = _told_by_name(path.relative_to(folder))
        if stain:
            sides[key][stain].append(path)
    pairs = []
    for key, found in sorted(sides.items()):
        for stain, paths in found.items():
            if len(paths) > 1:
                raise RestainError(
                    f"{paths[0]} and {paths[1]}: are both {stain} of {key}; expected one, or a CSV table"
                )
        he = found.pop("HE", None)
        if he is None or not found:
            alone = he or next(iter(found.values()))
            raise RestainError(f"{alone[0]}: has no {'IHC' if he else 'H&E'} slide of the same name beside it")
        pairs += [SlidePair("", key, he[0], ihc[0], stain) for stain, ihc in sorted(found.items())]
    if not pairs:
        raise RestainError(
            f"{folder}: no names that pair up; expected such as P1_HE.svs and P1_ER.svs, or HE/P1.svs and IHC/P1.svs"
        )
    return _named(pairs)


def _told_by_name(path: Path) -> tuple[str, str]:
    """(what partners share, the stain: HE or a marker, "" where neither is told)."""
    name = path.name.lower().removesuffix(path.suffix.lower()).removesuffix(".ome")
    words = re.split(r"[\s_.-]+", path.name[: len(name)])
    for place in range(len(words) - 1, -1, -1):
        word = words[place].lower()
        if word in _HE_WORDS or word in _IHC_WORDS:
            rest = "_".join(words[:place] + words[place + 1 :])
            key = "/".join((*path.parent.parts, rest))
            return key, "HE" if word in _HE_WORDS else words[place].upper()
    for place, part in enumerate(path.parent.parts):
        if part.lower() in _HE_WORDS | _IHC_WORDS:
            others = path.parent.parts[:place] + path.parent.parts[place + 1 :]
            return "/".join((*others, "_".join(words))), "HE" if part.lower() in _HE_WORDS else part.upper()
    return "", ""


def _named(pairs: Sequence[SlidePair]) -> list[SlidePair]:
    """With a name each, made of the patient, the stain and, where that is not enough, a number.

    Tiles are called NAME_ROW_COLUMN, from which data sets read the slide, so a name has a letter and no odd signs.
    """
    seen: Counter[str] = Counter()
    named = []
    for pair in pairs:
        name = re.sub(r"[^A-Za-z0-9]+", "-", f"{pair.patient}-{pair.stain}").strip("-").replace("-", "_")
        seen[name] += 1
        name = name if seen[name] == 1 else f"{name}_s{seen[name]}"
        named.append(SlidePair(name, *list(vars(pair).values())[1:]))
    return named
