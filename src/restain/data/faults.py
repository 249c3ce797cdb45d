"""What is wrong with a data set: reasons not to train, and what would make the result wrong or weak."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from restain.data.checks import PairCheck
from restain.data.records import Manifest

UNRELATED = 0.2  # confidence below which two images hardly show the same tissue; see docs/data.md


def find_errors(manifest: Manifest, checks: list[PairCheck], crop: int | None) -> list[str]:
    """Reasons why training cannot start: they concern the splits that a run reads, train and val."""
    used = [check for check in checks if check.record.split != "test"]
    found = []
    if "train" not in manifest.splits():
        found.append(f"no split train; found {', '.join(manifest.splits())}")
    elif not manifest.pairs("train") and not (manifest.sources("train") and manifest.targets("train")):
        missing = "IHC" if manifest.sources("train") else "H&E"
        found.append(f"split train has no {missing} image")
    found += [image.error for check in used for image in check.images() if image.error]
    found += [f"{_name(check)}: {_sizes(check)}; a pair must have one size" for check in used if _unequal(check)]
    if crop:
        found += [
            f"{image.image}: is {image.size[0]} x {image.size[1]} pixels, smaller than the crop, {crop}"
            for check in used
            for image in check.images()
            if image.size and min(image.size) < crop
        ]
    return found


def find_warnings(manifest: Manifest, checks: list[PairCheck]) -> list[str]:
    """What training survives: faults of test images, missing partners, lost pairs, duplicates, leaks."""
    tests = [check for check in checks if check.record.split == "test"]
    found = [image.error for check in tests for image in check.images() if image.error]
    found += [f"{_name(check)}: {_sizes(check)}" for check in tests if _unequal(check)]
    for split in manifest.splits():
        alone = [check.record for check in checks if check.record.split == split and len(check.images()) == 1]
        if alone:
            names = some(record.id for record in alone)
            found.append(f"split {split}: {len(alone)} images have no partner, so only unpaired use: {names}")
        found += _alignment_warnings(split, [c for c in checks if c.record.split == split])
    found += _duplicates(checks)
    splits_of = defaultdict(set)
    for record in manifest.records:
        if record.group:
            splits_of[record.group].add(record.split)
    leaking = sorted(group for group, splits in splits_of.items() if len(splits) > 1)
    if leaking:
        found.append(
            f"{len(leaking)} of {len(splits_of)} groups (slides or fields) are in more than one split, so scores "
            f"on held-out images are too good: {some(leaking)}"
        )
    return found


def _alignment_warnings(split: str, checks: list[PairCheck]) -> list[str]:
    lost = [c.record.id for c in checks if c.alignment and c.alignment.confidence < UNRELATED]
    if not lost:
        return []
    known = sum(check.alignment is not None for check in checks)
    return [
        f"split {split}: in {len(lost)} of {known} pairs H&E and IHC share hardly any nuclei (far apart, other "
        f"section, wrong partner or too few nuclei): {some(lost)}"
    ]


def _duplicates(checks: list[PairCheck]) -> list[str]:
    """Files with the same bytes, across splits or under different names within one."""
    where: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for check in checks:
        for image in check.images():
            if image.digest and image.image.half != "right":  # both halves are one file
                where[image.digest, image.image.half].append((check.record.split, str(image.image.path)))
    across = [files for files in where.values() if len({split for split, _ in files}) > 1]
    within = [files for files in where.values() if files not in across and len(set(files)) > 1]
    return [
        f"{len(group)} images are there more than once {place}, e.g. " + " = ".join(p for _, p in group[0][:3])
        for group, place in ((across, "in different splits"), (within, "within a split"))
        if group
    ]


def _name(check: PairCheck) -> str:
    return " and ".join(str(image.image) for image in check.images())


def _sizes(check: PairCheck) -> str:
    return "sizes are " + " and ".join(f"{i.size[0]} x {i.size[1]}" for i in check.images() if i.size)


def _unequal(check: PairCheck) -> bool:
    return len({image.size for image in check.images() if image.size}) > 1


def some(names: Iterable[str], count: int = 5) -> str:
    """The first few names and how many more there are."""
    names = list(names)
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
