"""Folders as the field keeps them -> one manifest of H&E and IHC images.

Every public data set of H&E/IHC pairs has its own arrangement of folders; this module recognises them, so
that no data has to be copied or renamed. Partners have the same path below their folders apart from the
suffix.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.data.records import SPLITS, ImageRef, Manifest, Record, group_of
from restain.errors import RestainError, quoted
from restain.files import read_text, require_file
from restain.images import IMAGE_SUFFIXES, RGB, image_size, list_images, read_rgb
from restain.names import case_twins, fault_of, folded

__all__ = ["Manifest", "Record", "find_pairs"]


@dataclass(frozen=True)
class _Folders:
    """An arrangement with one folder per split and side."""

    name: str
    source: str  # pattern of the H&E folder
    target: str
    usual: str  # what ``{target}`` stands for unless the user names another
    bases: tuple[str, ...] = ("",)

    def source_folder(self, base: Path, split: str) -> Path:
        return base / self.source.format(split=split)

    def target_folder(self, base: Path, split: str, target: str) -> Path:
        return base / self.target.format(split=split, target=self.usual if target == "B" else target)

    def variants(self, base: Path) -> list[str]:
        """Names of the targets that stand in ``base``, the source's own name left out."""
        found = set()
        for split in SPLITS:
            before, after = self.target.format(split=split, target="*").split("*")
            for folder in base.glob(f"{before}*{after}"):
                if folder.is_dir() and folder != self.source_folder(base, split):
                    relative = folder.relative_to(base).as_posix()
                    found.add(relative.removeprefix(before).removesuffix(after))
        return sorted(found)


_FOLDER_LAYOUTS = (
    _Folders("mist", "{split}A", "{split}{target}", "B", ("", "TrainValAB")),
    _Folders("tdkstain", "{split}_HE", "{split}_{target}", "IHC"),
    _Folders("bci", "HE/{split}", "{target}/{split}", "IHC"),
    _Folders("bci-challenge", "{split}/HE", "{split}/{target}", "IHC"),
)

_KNOWN = (
    "MIST/CUT (trainA + trainB, valA + valB, also testA/testB, also below TrainValAB/), "
    "TDKStain (train_HE + train_IHC), BCI (HE/train + IHC/train), BCI challenge (train/HE + train/IHC), "
    "pix2pix (train/ with A|B images side by side), or a manifest.csv (id, source, target, split, group)"
)


def find_pairs(root: Path, target: str = "B") -> Manifest:
    """Recognise the layout of a data set and list its H&E and IHC images.

    Args:
        root: the data set's folder, or a CSV manifest.
        target: which IHC, where several stand beside each other: ``B_cd3`` takes ``trainB_cd3``. The default
            ``B`` is each layout's usual one (``trainB``, ``IHC``).

    Raises:
        RestainError: nothing recognised, no such target, two files with the same name on one side, or a bad
            row in a manifest.
    """
    if not root.exists():
        raise RestainError(f"{root}: no such file or folder")
    manifest = _recognise(root, target)
    if manifest is None:
        raise RestainError(_nothing_recognised(root, target))
    if not manifest.records:
        raise RestainError(f"{root}: looks like the layout {manifest.layout} but holds no images")
    return manifest


def _recognise(root: Path, target: str) -> Manifest | None:
    table = root / "manifest.csv" if root.is_dir() else root
    if not table.is_dir() and (table.exists() or root == table):
        if table.suffix.lower() in IMAGE_SUFFIXES:
            raise RestainError(f"{root}: is an image; expected a folder or a CSV manifest")
        _refuse_target("CSV manifest", root, target)
        return _manifest("csv", table.parent, _read_csv(table))
    for layout in _FOLDER_LAYOUTS:
        for base in (root / name for name in layout.bases):
            if any(layout.source_folder(base, split).is_dir() for split in SPLITS):
                return _read_folders(layout, base, target)
    if any(_top_images(root / split) for split in SPLITS):
        _refuse_target("pix2pix", root, target)
        return _manifest("pix2pix", root, _read_side_by_side(root))
    return None


def _manifest(layout: str, root: Path, records: Iterable[Record]) -> Manifest:
    order = {split: rank for rank, split in enumerate(SPLITS)}
    return Manifest(layout, root, tuple(sorted(records, key=lambda record: (order[record.split], record.id))))


def _refuse_target(layout: str, root: Path, target: str) -> None:
    if target != "B":
        raise RestainError(f"{root}: the layout {layout} has a single IHC; target {target!r} cannot be chosen")


def _nothing_recognised(root: Path, target: str) -> str:
    paths = [path for path in sorted(root.iterdir()) if not path.name.startswith(".")]
    names = [path.name + "/" * path.is_dir() for path in paths]
    seen = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
    message = f"{root}: no layout recognised; it holds {seen}, expected one of: {_KNOWN}"
    below = [path for path in paths if path.is_dir() and _looks_like_data(path)]
    return message + (f"; did you mean {below[0]}?" if below else "")


def _looks_like_data(folder: Path) -> bool:
    return (folder / "manifest.csv").is_file() or any(
        layout.source_folder(folder / base, split).is_dir()
        for layout in _FOLDER_LAYOUTS
        for base in layout.bases
        for split in SPLITS
    )


def _read_folders(layout: _Folders, base: Path, target: str) -> Manifest:
    variants = layout.variants(base)
    if layout.target_folder(base, "train", target) == layout.source_folder(base, "train"):
        raise RestainError(f"{base}: target {target!r} is the H&E itself; targets found: {', '.join(variants)}")
    if not any(layout.target_folder(base, split, target).is_dir() for split in SPLITS):
        wanted = layout.target_folder(base, "train", target).relative_to(base)
        there = ", ".join(variants) if variants else "none"
        raise RestainError(
            f"{base}: has the H&E of the layout {layout.name} but no IHC folder such as {wanted} "
            f"for target {target!r}; targets found: {there}"
        )
    records: list[Record] = []
    told = _read_pair_table(base / "pairs.csv")
    for split in SPLITS:
        sources = _by_stem(layout.source_folder(base, split))
        targets = _by_stem(layout.target_folder(base, split, target))
        _refuse_case(layout.source_folder(base, split), sources, targets)
        for stem in sources.keys() | targets.keys():
            group, weight = told.get((split, stem), (group_of(stem), 1.0))
            records.append(Record(stem, split, group, _whole(sources.get(stem)), _whole(targets.get(stem)), weight))
    return _manifest(layout.name, base, records)


def _refuse_case(folder: Path, sources: Iterable[str], targets: Iterable[str]) -> None:
    """Refuse partners whose names differ in case, which would be left out of paired training without a word."""
    own, others = set(sources), set(targets)
    by_fold = {folded(name): name for name in others - own}
    twins = [f"{name} and {by_fold[folded(name)]}" for name in sorted(own - others) if folded(name) in by_fold]
    if twins:
        more = f" and {len(twins) - 3} more" if len(twins) > 3 else ""
        raise RestainError(
            f"{folder}: names of H&E and IHC differ in upper and lower case: {', '.join(twins[:3])}{more}; "
            "expected equal names"
        )


def _read_pair_table(path: Path) -> dict[tuple[str, str], tuple[str | None, float]]:
    """Patient and weight by (split, name), from the ``pairs.csv`` that ``restain pairs`` writes; without one, none."""
    if not path.is_file():
        return {}
    table = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"name", "split", "patient", "weight"} <= set(reader.fieldnames or ()):
                return {}  # some other table of that name, such as the one of an inspection
            for row in reader:
                weight = _weight(f"{path}, line {reader.line_num}", row["weight"])
                table[row["split"], row["name"]] = (row["patient"] or group_of(row["name"]), weight)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RestainError(f"{path}: cannot be read as a UTF-8 CSV table ({error})") from error
    return table


def _weight(where: str, text: str) -> float:
    """A weight between 0 and 1; 1 where none is stated."""
    try:
        weight = float(text) if text else 1.0
    except ValueError:
        weight = float("nan")
    if not 0 <= weight <= 1:
        raise RestainError(f"{where}: weight is {text!r}; expected a number from 0 to 1")
    return weight


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(folder) if folder.is_dir() else []:
        stem = path.relative_to(folder).with_suffix("").as_posix()
        if stem in found:
            raise RestainError(f"{path}: has the same name as {found[stem].name}; expected one file per name")
        found[stem] = path
    return found


def _whole(path: Path | None) -> ImageRef | None:
    return ImageRef(path) if path else None


def _top_images(folder: Path) -> list[Path]:
    return [path for path in list_images(folder) if path.parent == folder] if folder.is_dir() else []


def _read_side_by_side(root: Path) -> list[Record]:
    records = []
    for split in SPLITS:
        stems = _by_stem(root / split) if (root / split).is_dir() else {}
        for path in list(stems.values())[:8]:
            _check_side_by_side(path)
        records += [
            Record(stem, split, group_of(stem), ImageRef(path, "left"), ImageRef(path, "right"))
            for stem, path in stems.items()
        ]
    return records


def _check_side_by_side(path: Path) -> None:
    """Refuse a single image, whose halves would pass for H&E and IHC: 1 : 2, or else a visible seam."""
    height, width = image_size(path)
    if width == 2 * height or (width % 2 == 0 and _seam(read_rgb(path)) > 2):
        return
    raise RestainError(
        f"{path}: is {width} x {height} pixels and does not look like A|B side by side; expected an even "
        "width that is twice the height, or a visible seam in the middle"
    )


def _seam(rgb: RGB) -> float:
    """How much larger the step between the two middle columns is than between other neighbouring columns."""
    steps = np.abs(np.diff(rgb.astype(np.float32), axis=1)).mean(axis=(0, 2))
    return float(steps[rgb.shape[1] // 2 - 1] / max(float(np.median(steps)), 0.5))


def _read_csv(path: Path) -> list[Record]:
    lines = _csv_lines(path)
    where, columns = next(lines, (str(path), []))
    missing = [name for name in ("id", "source", "target", "split") if name not in columns]
    if missing:
        raise RestainError(f"{path}: has the columns {_listed(columns) or 'none'}; missing {', '.join(missing)}")
    if len(set(columns)) < len(columns):
        raise RestainError(f"{path}: repeats a column in its header {_listed(columns)}; expected each once")
    records: dict[tuple[str, str], Record] = {}
    for where, cells in lines:
        if len(cells) != len(columns):
            raise RestainError(f"{where}: has {len(cells)} cells; expected {len(columns)}, as the header has")
        record = _csv_record(path.parent, where, dict(zip(columns, map(str.strip, cells), strict=True)))
        if (record.split, record.id) in records:
            raise RestainError(f"{where}: the id {record.id!r} is there twice in split {record.split!r}")
        records[record.split, record.id] = record
    for split in SPLITS:
        for one, other in case_twins(name for within, name in records if within == split):
            raise RestainError(
                f"{path}: the ids {one!r} and {other!r} of split {split!r} differ in case only, so that their files "
                "would be one on Windows and macOS; expected different ids"
            )
    return list(records.values())


def _csv_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """(where it is, cells) of every line that is not empty, the header among them."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield f"{path}, line {reader.line_num}", cells
    except csv.Error as error:
        raise RestainError(f"{path}, line {reader.line_num}: is not CSV ({error})") from None


def _listed(columns: list[str]) -> str:
    return quoted(", ".join(columns)).strip("'\"") if columns else ""


def _csv_record(folder: Path, where: str, row: dict[str, str]) -> Record:
    if fault := fault_of(row["id"]):
        raise RestainError(f"{where}: the id {quoted(row['id']) + ' ' if row['id'] else ''}{fault}")
    if row["split"] not in SPLITS:
        raise RestainError(f"{where}: split is {quoted(row['split'])}; expected one of {', '.join(SPLITS)}")
    if not row["source"] and not row["target"]:
        raise RestainError(f"{where}: source and target are both empty; expected the path of an image in one of them")
    for side in ("source", "target"):
        if row[side]:
            try:
                require_file(folder / row[side])
            except RestainError as error:
                raise RestainError(f"{where}: {side} {quoted(row[side])} cannot be used: {error}") from None
    source, target = (folder / row[side] if row[side] else None for side in ("source", "target"))
    group = row.get("group") or group_of(row["id"])
    weight = _weight(where, row.get("weight", ""))
    return Record(row["id"], row["split"], group, _whole(source), _whole(target), weight, row.get("label", ""))
