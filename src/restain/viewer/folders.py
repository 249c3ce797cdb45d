"""What a folder holds: slides with their records, an evaluation, a training run, or pairs of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from restain.data.layouts import find_pairs
from restain.data.records import ImageRef
from restain.errors import RestainError
from restain.slides.record import SlideRecord, read_summary
from restain.viewer.pictures import ROLE_LABELS, Case, Picture, Role, record_of
from restain.wsi.discovery import find_slides

_RUN_FILES = ("recipe.yaml", "environment.json", "logs/train.csv")
_OVERVIEWS = (".thumbnail.png", ".preview.png")  # of restain slide, beside its results


def read_folder(folder: Path) -> list[Case]:
    """Cases of a folder, recognised by what it holds.

    In this order: the output of ``restain evaluate`` (H&E, virtual stains and real IHC of each image), of
    ``restain train`` (samples and attention maps), a data set in a known layout (H&E and IHC of each image), and
    slides: results of ``restain slide`` stand beside their H&E, every other slide by itself.

    Raises:
        RestainError: there is nothing to look at, or a file that describes the folder is damaged.
    """
    summary = folder / "summary.json"
    if summary.is_file() and '"restain slides"' not in summary.read_text(encoding="utf-8", errors="replace")[:200]:
        return _evaluation(folder)
    if any((folder / name).exists() for name in _RUN_FILES):
        return _run(folder)
    return _layout(folder) or _slides(folder)


def pair_folders(folders: Sequence[Path], roles: Sequence[Role]) -> list[Case]:
    """Images of the same name in several folders, a case for each name of the first; the others may lack some."""
    sides = []
    for folder in folders:
        found = [path for path in find_slides([folder]).slides if not path.name.endswith(_OVERVIEWS)]
        sides.append(_by_name(found, folder))
    cases = []
    for name in sides[0]:
        pictures = tuple(
            Picture(side[name], role, ROLE_LABELS[role] or folder.name)
            for side, role, folder in zip(sides, roles, folders, strict=True)
            if name in side
        )
        missing = [folder.name for side, folder in zip(sides, folders, strict=True) if name not in side]
        notes = (f"no image of this name in {', '.join(missing)}",) if missing else ()
        cases.append(Case(name, pictures, notes))
    return cases


def _by_name(paths: Sequence[Path], folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        other = found.setdefault(_name_below(path, folder), path)
        if other is not path:
            raise RestainError(f"{folder}: {other.name} and {path.name} have one name; expected a name for each image")
    return found


def _name_below(path: Path, folder: Path) -> str:
    name = path.relative_to(folder).with_name(path.name.removesuffix(".ome.tif"))
    return (name if name.name != path.name else name.with_suffix("")).as_posix()


def _evaluation(folder: Path) -> list[Case]:
    from restain.reporting.evaluation_files import VIRTUAL, read_evaluation  # imports matplotlib

    files = read_evaluation(folder)
    mpp = files.summary.mpp
    sides: list[tuple[Role, str, dict[str, Path]]] = [("he", "H&E", files.images("source"))]
    for stain in files.stains:
        label = "virtual stain" if stain == VIRTUAL else f"virtual stain: {stain}"
        sides.append(("virtual", label, files.images(stain)))
    sides.append(("real", "real IHC", files.images("real")))
    real = sides[-1][2]
    if not real:
        raise RestainError(f"{folder}: the images that it evaluated are gone from {files.image_folder('real')}")
    return [
        Case(
            name,
            tuple(Picture(images[name], role, label, mpp) for role, label, images in sides if name in images),
        )
        for name in real
    ]


def _run(folder: Path) -> list[Case]:
    from restain.reporting.run_files import read_run

    files = read_run(folder)
    cases = [
        Case(f"step {step}", (Picture(path, "virtual", "H&E, virtual stain, IHC"),)) for step, path in files.samples
    ]
    for maps in files.attention:
        layers = tuple(Picture(path, "other", f"attention, {name}") for name, path in maps.layers.items())
        cases.append(Case(f"attention: {maps.id}", (Picture(maps.ihc, "other", "IHC"), *layers)))
    if not cases:
        raise RestainError(f"{folder}: is a run folder without samples and attention maps yet")
    return cases


def _layout(folder: Path) -> list[Case]:
    try:
        manifest = find_pairs(folder)
    except RestainError:  # no layout of a data set: slides, or any other images
        return []
    cases = []
    for record in manifest.records:
        if record.source and record.source.half != "whole":
            pictures: tuple[Picture, ...] = (Picture(record.source.path, "other", "H&E | IHC"),)
        else:
            pictures = tuple(
                Picture(image.path, role, ROLE_LABELS[role]) for role, image in _sides(record.source, record.target)
            )
        cases.append(Case(f"{record.split}: {record.id}", pictures))
    return cases


def _sides(source: ImageRef | None, target: ImageRef | None) -> list[tuple[Role, ImageRef]]:
    found: list[tuple[Role, ImageRef | None]] = [("he", source), ("real", target)]
    return [(role, image) for role, image in found if image is not None]


def _slides(folder: Path) -> list[Case]:
    slides = [path for path in find_slides([folder]).slides if not path.name.endswith(_OVERVIEWS)]
    cases = []
    for path in slides:
        record = record_of(path)
        cases.append(
            _stained(path, record, folder) if record else Case(path.name, (Picture(path, "other", path.name),))
        )
    summary = folder / "summary.json"
    if summary.is_file():
        cases += [_failed(record, folder) for record in read_summary(summary).slides if record.error]
    return cases


def _stained(path: Path, record: SlideRecord, folder: Path) -> Case:
    virtual = Picture(path, "virtual", ROLE_LABELS["virtual"])
    source = _find_source(record, folder)
    title = path.name.removesuffix(".ome.tif")
    if source is None:
        missing = f"the H&E {Path(record.slide).name} is not where it was when it was stained"
        return Case(title, (virtual,), (missing, *record.warnings))
    mpp = record.made_by.identity.slide_mpp if record.made_by else None
    return Case(title, (Picture(source, "he", ROLE_LABELS["he"], mpp), virtual), record.warnings)


def _failed(record: SlideRecord, folder: Path) -> Case:
    source = _find_source(record, folder)
    pictures = (Picture(source, "he", ROLE_LABELS["he"]),) if source else ()
    return Case(Path(record.slide).name, pictures, (f"not stained: {record.error}",))


def _find_source(record: SlideRecord, folder: Path) -> Path | None:
    """The H&E as the record names it, or of the same name beside the results or above them."""
    named = Path(record.slide)
    places = (named, folder / named.name, folder.parent / named.name)
    return next((place for place in places if place.exists()), None)
