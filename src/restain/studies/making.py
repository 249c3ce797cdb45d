"""``restain study make``: cases drawn, orders drawn, images encoded once, the key kept apart."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

import numpy as np

from restain.errors import RestainError, quoted
from restain.files import folder_aside
from restain.progress import ProgressBar
from restain.studies.image_store import GLASS, Canvas, ImageWriter, Painter
from restain.studies.orders import Pair, crossover, place_sides, side_by_side
from restain.studies.questions import DESIGNS, MARKERS, Design, Marker, design_questions
from restain.studies.study_files import (
    IMAGES,
    KEY,
    LINKS,
    CasePictures,
    Encoding,
    Item,
    Key,
    Links,
    PictureOrigin,
    Study,
    steps_of,
    write_secret,
    write_study,
)
from restain.viewer.folders import pair_folders
from restain.viewer.library import QUALITY
from restain.viewer.opened import TILE
from restain.viewer.pictures import Case, Picture, Role
from restain.wsi.geometry import Size
from restain.wsi.reader import open_slide
from restain.wsi.tissue import find_tissue

MARGINS: dict[Design, float] = {"score": 0.1, "2afc": 0.1, "quality": 0.5, "preference": 0.1}
_EXPECTED_CASES = 60  # College of American Pathologists 2021, validation of whole slide imaging: of the first use
_EXPECTED_MORE = 20  # and of each further one, such as IHC
_EXPECTED_CHOICES = 96  # 95 % interval of a share near one half: 10 points to each side
_EXPECTED_WASHOUT = 14.0  # days, the same guideline
_EXPECTED_READERS = 3  # as in Bai et al. 2022
_CROPPED = 0.05  # two sizes that differ by less are cut to the smaller; else the smaller is put on glass
_SLIDE = 2000.0  # µm: an image wider than this is a whole slide, whose glass is made the same
_GLASS_TELLS = 0.9  # share of pairs of images, one of each arm, in which the same arm has the lighter glass

Arm = Literal["first", "second", "he"]


@dataclass(frozen=True)
class StudyMade:
    """A study that was made.

    Attributes:
        folder: where it lies.
        study: what was decided.
        warnings: sentences about its size and its blinding.
    """

    folder: Path
    study: Study
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Chosen:
    """Arguments that were checked."""

    design: Design
    marker: Marker
    margin: float

    @property
    def paired(self) -> bool:
        return self.design in ("2afc", "preference")


@dataclass(frozen=True)
class _Sizes:
    """What the files of a case state."""

    pixels: Mapping[Arm, Size]
    mpp: Mapping[Arm, float]  # 1 where nothing is stated
    known: bool

    def microns(self, arm: Arm) -> tuple[float, float]:
        return self.pixels[arm].width * self.mpp[arm], self.pixels[arm].height * self.mpp[arm]


@dataclass(frozen=True)
class _Encoded:
    """Images of a study as they were written."""

    pairs: tuple[Pair, ...]  # in the order of the drawn cases
    cases: dict[str, CasePictures]
    names: dict[str, str]
    origins: dict[str, PictureOrigin]
    encoding: Encoding


def make_study(
    out: str | Path,
    *,
    virtual: str | Path | Sequence[str | Path],
    real: str | Path | None = None,
    source: str | Path | None = None,
    design: str,
    marker: str,
    cases: int,
    readers: int = 3,
    repeats: int = 0,
    washout_days: float = 14.0,
    training_cases: int = 2,
    margin: float | None = None,
    mpp: float | None = None,
    seed: int = 0,
) -> StudyMade:
    """Prepare a blinded reader study of virtual stains.

    Cases are the images of the same name in the folders; some are drawn by the seed. Every image is brought to one
    scale and encoded once by one encoder, under a name that says nothing. Nothing is served that is not in
    ``study.yaml``, ``images.sqlite`` and ``links.json``; ``key.json`` alone says which image is which.

    Designs: ``score`` (each image is scored on the marker's scale; each case once in each of two sessions), ``quality``
    (the same with ratings of 1 to 5), ``2afc`` (which of two is real), ``preference`` (which of two is preferred).

    Args:
        out: folder to make; must be absent or empty.
        virtual: folder of virtual stains; two folders for a preference between two systems.
        real: folder of real IHC; left out where two systems are compared.
        source: folder of H&E, which is then shown beside each image.
        design: score, 2afc, quality or preference.
        marker: her2, er, pr or ki67; it sets the questions.
        cases: how many cases are read, besides those for training.
        readers: how many readers.
        repeats: images that each reader reads again at the end, after another washout.
        washout_days: between two sessions of a reader.
        training_cases: read first by each reader and not analysed.
        margin: of non-inferiority; by design: 0.1 of kappa (score), 0.5 points (quality), 0.1 of the share (2afc,
            preference).
        mpp: microns per pixel of every image, instead of what the files state.
        seed: of the draw of cases and of the orders.

    Returns:
        the folder, what was decided, and warnings.

    Raises:
        RestainError: an argument is out of its range, too few cases are in all folders, an image cannot be read, or
            the images of a case do not show the same field.
    """
    chosen = _checked(design, marker, margin)
    _refuse_counts(cases=cases, readers=readers, repeats=repeats, training_cases=training_cases, seed=seed)
    if not (isfinite(washout_days) and 0 <= washout_days <= 3650):
        raise RestainError(f"washout_days: is {washout_days:g}; expected 0 to 3650")
    if repeats > cases:
        raise RestainError(f"repeats: is {repeats}; expected at most the number of cases, {cases}")
    arms = _arms(chosen.design, real, virtual)
    found = _complete_cases(arms, source)
    wanted = cases + training_cases
    if len(found) < wanted:
        raise RestainError(
            f"cases: {len(found)} images have the same name in all folders; expected at least {wanted} "
            f"({cases} to be read and {training_cases} for training)"
        )
    generator = np.random.default_rng(seed)
    drawn = [found[index] for index in generator.permutation(len(found))[:wanted]]
    with folder_aside(Path(out)) as folder:
        made = _encode(folder / IMAGES, drawn, mpp, generator)
        read, training = made.pairs[:cases], made.pairs[cases:]
        draw = side_by_side if chosen.paired else crossover
        orders = {f"reader-{number}": draw(read, repeats, generator) for number in range(1, readers + 1)}
        study = Study(
            title=_title(chosen),
            design=chosen.design,
            marker=chosen.marker,
            seed=seed,
            margin=chosen.margin,
            washout_days=washout_days,
            questions=design_questions(chosen.design, chosen.marker),
            encoding=made.encoding,
            cases=made.cases,
            training=_training_items(training, chosen, generator),
            readers=orders,
        )
        write_study(folder, study)
        names: dict[Literal["first", "second"], str] = dict(zip(("first", "second"), arms, strict=True))
        write_secret(folder / KEY, Key(arms=names, names=made.names, pictures=made.origins))
        tokens = {reader: secrets.token_urlsafe(18) for reader in orders}
        write_secret(folder / LINKS, Links(secret=secrets.token_hex(32), tokens=tokens))
    warnings = [*_size_warnings(study, cases, repeats), *_blinding_warnings(study, made.origins, tuple(arms))]
    return StudyMade(Path(out), study, tuple(warnings))


def _checked(design: str, marker: str, margin: float | None) -> _Chosen:
    known_design = next((one for one in DESIGNS if one == design), None)
    if known_design is None:
        raise RestainError(f"design: is {quoted(design)}; expected one of {', '.join(DESIGNS)}")
    known_marker = next((one for one in MARKERS if one == marker), None)
    if known_marker is None:
        raise RestainError(f"marker: is {quoted(marker)}; expected one of {', '.join(MARKERS)}")
    if margin is not None and not (isfinite(margin) and margin > 0):
        raise RestainError(f"margin: is {margin:g}; expected a number above 0")
    return _Chosen(known_design, known_marker, MARGINS[known_design] if margin is None else float(margin))


def _refuse_counts(**counts: int) -> None:
    limits = {"cases": (1, 2000), "readers": (1, 50), "repeats": (0, 2000), "training_cases": (0, 100)}
    for name, value in counts.items():
        low, high = limits.get(name, (0, 2**63 - 1))
        if not low <= value <= high:
            raise RestainError(f"{name}: is {value}; expected {low} to {high}")


def _arms(
    design: Design, real: str | Path | None, virtual: str | Path | Sequence[str | Path]
) -> dict[str, tuple[Path, Role]]:
    """The two arms by what the analysis calls them: "real" and "virtual", or the names of two systems' folders."""
    systems = [Path(virtual)] if isinstance(virtual, str | Path) else [Path(one) for one in virtual]
    if real is not None and len(systems) == 1:
        return {"real": (Path(real), "real"), "virtual": (systems[0], "virtual")}
    if real is None and len(systems) == 2 and design == "preference":
        if len({one.resolve().name for one in systems}) == 1:
            raise RestainError(f"virtual: both folders are called {systems[0].resolve().name}; expected two names")
        return {one.resolve().name: (one, "virtual") for one in systems}
    wanted = "real and one virtual folder"
    if design == "preference":
        wanted += ", or two virtual folders and no real one"
    given = f"{len(systems)} virtual folders {'and' if real else 'without'} a real one"
    raise RestainError(f"{design}: is given {given}; expected {wanted}")


def _complete_cases(arms: Mapping[str, tuple[Path, Role]], source: str | Path | None) -> list[Case]:
    """Cases that have an image in every folder: both arms, then the H&E where there is one."""
    places = list(arms.values())
    if source is not None:
        places.append((Path(source), "he"))
    for folder, _ in places:
        if not folder.is_dir():
            raise RestainError(f"{folder}: is no folder; expected a folder of images or slides")
    cases = pair_folders([folder for folder, _ in places], [role for _, role in places])
    return [case for case in cases if len(case.pictures) == len(places)]


def _encode(path: Path, drawn: Sequence[Case], mpp: float | None, generator: np.random.Generator) -> _Encoded:
    """Write all images on the common scale; numbers and places in the file are random, so they say nothing."""
    sizes = [_sizes(case, mpp) for case in drawn]
    known = {one.known for one in sizes}
    if len(known) > 1:
        raise RestainError(
            "mpp: some images state their microns per pixel and some do not; give that of all with --mpp"
        )
    scale = max(one.mpp[arm] for one in sizes for arm in ("first", "second"))
    numbers = iter(generator.permutation(sum(len(case.pictures) for case in drawn)) + 1)
    pairs: list[Pair] = []
    cases: dict[str, CasePictures] = {}
    names: dict[str, str] = {}
    origins: dict[str, PictureOrigin] = {}
    writer = ImageWriter(path)
    with ProgressBar("encoding", total=sum(len(case.pictures) for case in drawn), unit="images") as bar:
        for number, (case, stated) in enumerate(zip(drawn, sizes, strict=True), 1):
            canvas = _canvas(case, stated, scale)
            ids: dict[Arm, str] = {}
            by_arm = _by_arm(case)
            for index in generator.permutation(len(by_arm)):
                arm, picture = list(by_arm.items())[index]
                ids[arm] = f"p{next(numbers):04d}"
                origins[ids[arm]] = _write(writer, ids[arm], arm, picture, stated, canvas)
                bar.advance()
            pairs.append((ids["first"], ids["second"]))
            shown = (ids["first"], ids["second"]) if generator.integers(2) else (ids["second"], ids["first"])
            id = f"c{number:04d}"
            names[id] = case.title
            size = canvas.size
            cases[id] = CasePictures(pictures=shown, he=ids.get("he"), width=size.width, height=size.height)
    encoding = Encoding(
        quality=QUALITY, tile=TILE, mpp=scale, scale_known=known == {True}, background=GLASS, bytes=writer.close()
    )
    return _Encoded(tuple(pairs), cases, names, origins, encoding)


def _by_arm(case: Case) -> dict[Arm, Picture]:
    arms: tuple[Arm, ...] = ("first", "second", "he")
    return dict(zip(arms, case.pictures, strict=False))


def _sizes(case: Case, mpp: float | None) -> _Sizes:
    pixels: dict[Arm, Size] = {}
    scales: dict[Arm, float] = {}
    stated = set()
    for arm, picture in _by_arm(case).items():
        try:
            slide, known = open_slide(picture.path, mpp), True
        except RestainError as error:
            if mpp is not None:
                raise
            try:
                slide, known = open_slide(picture.path, 1.0), False
            except RestainError:  # not only the pixel size is missing
                raise error from None
        with slide:
            pixels[arm], scales[arm] = slide.levels[0].size, float(slide.mpp)
        stated.add(known)
    if len(stated) > 1:
        raise RestainError(
            f"{case.title}: one of its images states its microns per pixel and another does not; give that of all "
            "with --mpp"
        )
    return _Sizes(pixels, scales, stated == {True})


def _canvas(case: Case, sizes: _Sizes, scale: float) -> Canvas:
    """The common grid of a case: cut to the smaller image, or for slides of different extent as large as the larger."""
    extents = np.array([sizes.microns("first"), sizes.microns("second")])
    smaller, larger = extents.min(axis=0), extents.max(axis=0)
    if (larger <= smaller * (1 + _CROPPED)).all():
        width, height = (max(1, int(side / scale + 1e-6)) for side in smaller)
    elif sizes.known and smaller.min() > _SLIDE:
        width, height = (max(1, round(side / scale)) for side in larger)
    else:
        first, second = (case.pictures[place].path for place in (0, 1))
        raise RestainError(
            f"{second}: has {sizes.pixels['second']} pixels and {first} has {sizes.pixels['first']}; expected the same "
            "field at the same size, or files that state their microns per pixel"
        )
    return Canvas(Size(width, height), scale)


def _write(writer: ImageWriter, id: str, arm: Arm, picture: Picture, stated: _Sizes, canvas: Canvas) -> PictureOrigin:
    mpp = stated.mpp[arm]
    with open_slide(picture.path, mpp) as slide:
        whole = stated.known and min(stated.microns(arm)) > _SLIDE
        tissue = find_tissue(slide) if whole else None
        light = writer.add(id, canvas, Painter(slide, canvas, tissue))
    return PictureOrigin(
        arm=arm,
        file=str(picture.path),
        pixels=str(stated.pixels[arm]),
        mpp=mpp if stated.known else None,
        glass=tissue.background if tissue else None,
        light=light,
    )


def _training_items(pairs: Sequence[Pair], chosen: _Chosen, generator: np.random.Generator) -> tuple[Item, ...]:
    """Pairs, or both images of each case one after the other."""
    if chosen.paired:
        return place_sides(pairs, generator)
    return tuple((picture,) for pair in pairs for picture in (pair if generator.integers(2) else pair[::-1]))


def _title(chosen: _Chosen) -> str:
    endings: dict[Design, str] = {
        "score": "scores",
        "quality": "image quality",
        "2afc": "pairs of images",
        "preference": "preference",
    }
    return f"{MARKERS[chosen.marker]}: {endings[chosen.design]}"


def _size_warnings(study: Study, cases: int, repeats: int) -> Iterator[str]:
    if study.paired and cases < _EXPECTED_CHOICES:
        half = 100 * 0.98 / cases**0.5
        yield (
            f"{cases} cases are less than {_EXPECTED_CHOICES}: the 95 % interval of a share near one half reaches "
            f"about {half:.0f} points to each side"
        )
    expected = _EXPECTED_CASES + _EXPECTED_MORE
    if not study.paired and cases < expected:
        yield (
            f"{cases} cases are less than {expected}: guidelines for validation ask for {_EXPECTED_CASES}, and for "
            f"{_EXPECTED_MORE} more for a further use such as IHC (CAP 2021)"
        )
    if len(study.readers) < _EXPECTED_READERS:
        yield f"{len(study.readers)} readers are less than {_EXPECTED_READERS}, which published studies have"
    if len(study.readers) == 1 and study.design == "score":
        yield "with one reader there is no agreement between readers, and non-inferiority cannot be computed"
    if study.washout_days < _EXPECTED_WASHOUT and steps_of(study, "reader-1")[-1].session:
        yield f"a washout of {study.washout_days:g} days is shorter than 14 (CAP 2021)"
    if not repeats:
        yield "no image is read twice, so the agreement of a reader with himself or herself will not be known"


def _blinding_warnings(study: Study, origins: Mapping[str, PictureOrigin], arms: Sequence[str]) -> Iterator[str]:
    names = dict(zip(("first", "second"), arms, strict=True))
    by_arm = {arm: [one for one in origins.values() if one.arm == arm] for arm in names}
    first, second = (np.array([one.light for one in by_arm[arm]]) for arm in names)
    lighter = float((np.sign(first[:, None] - second[None, :]) / 2 + 0.5).mean())
    if max(lighter, 1 - lighter) > _GLASS_TELLS:
        yield (
            f"the lightest parts tell the arms apart: {arms[0]} {np.median(first):.0f}, {arms[1]} "
            f"{np.median(second):.0f} grey levels of 255 (medians); make the glass of both the same first"
        )
    scales = [np.median([one.mpp for one in by_arm[arm]]) for arm in names] if study.encoding.scale_known else [1, 1]
    if max(scales) > 1.05 * min(scales):
        yield (
            f"the arms have {scales[0]:.3g} and {scales[1]:.3g} µm per pixel; all images are shown at "
            f"{study.encoding.mpp:.3g}, but one arm was scaled down and may look sharper or smoother"
        )
    if study.design == "2afc" and any(case.he for case in study.cases.values()):
        yield (
            "the H&E is shown: a computed stain follows it cell by cell, and a section nearby does not, which tells "
            "the two apart unless both stains are of the same section"
        )
