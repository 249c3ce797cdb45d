"""The held-out fields as folders, since staining and evaluation read folders. No torch."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restain.benchmarking.plan import Plan
from restain.data.layouts import find_pairs
from restain.data.records import ImageRef
from restain.errors import RestainError
from restain.images import list_images, write_png

FOLDER = "held-out"


@dataclass(frozen=True)
class HeldOut:
    """Folders of the held-out fields, and of the training IHC whose colours the colour transfer takes."""

    source: Path
    real: Path
    reference: Path


def held_out_folders(plan: Plan) -> HeldOut:
    """Those of the data set where they hold these fields and nothing else, else folders of links below OUT.

    Raises:
        RestainError: the truth has not the same fields as the IHC that is learned.
    """
    learned = plan.manifest()
    pairs = {record.id: record for record in learned.pairs(plan.split)}
    sources = {name: record.source for name, record in pairs.items() if record.source}
    reals = {name: record.target for name, record in pairs.items() if record.target}
    if plan.truth is not None:
        compared = {r.id: r.target for r in find_pairs(plan.data, plan.truth).pairs(plan.split) if r.target}
        if absent := sorted(reals.keys() - compared.keys()):
            raise RestainError(
                f"truth {plan.truth}: has no image of {absent[0]} ({len(absent)} of {len(reals)} fields); "
                "expected one for each held-out field"
            )
        reals = {name: compared[name] for name in reals}
    trained = {record.id: record.target for record in learned.targets("train") if record.target}
    root = plan.out / FOLDER
    return HeldOut(
        source=_folder(sources, root / "he"),
        real=_folder(reals, root / "ihc"),
        reference=_folder(trained, root / "reference"),
    )


def _folder(images: dict[str, ImageRef], links: Path) -> Path:
    """A folder in which each image has its id as its name; below ``links``, one for each set of images."""
    own = _common_folder(images)
    if own is not None:
        return own
    links = links / _digest(images)
    if links.is_dir():
        return links
    aside = links.with_name(f".{links.name}-new")
    shutil.rmtree(aside, ignore_errors=True)
    for name, image in images.items():
        if image.half == "whole":
            link = aside / f"{name}{image.path.suffix}"
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(image.path.resolve())
        else:
            write_png(aside / f"{name}.png", image.read())
    aside.replace(links)
    return links


def _digest(images: dict[str, ImageRef]) -> str:
    """Of the names, and of the files as they are: a comparison may be asked for another truth later."""
    lines = [
        f"{name} {image.path.resolve()} {image.half} {image.path.stat().st_mtime_ns}"
        for name, image in sorted(images.items())
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _common_folder(images: dict[str, ImageRef]) -> Path | None:
    """The folder below which exactly these images lie under their ids; None where there is none."""
    folders = {_folder_of(name, image) for name, image in images.items()}
    folder = folders.pop() if len(folders) == 1 else None
    return folder if folder is not None and _names(folder) == sorted(images) else None


def _folder_of(name: str, image: ImageRef) -> Path | None:
    path = image.path.with_suffix("")
    if image.half != "whole" or not path.as_posix().endswith(f"/{name}"):
        return None
    return path.parents[name.count("/")]


def _names(folder: Path) -> Sequence[str]:
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in list_images(folder))
