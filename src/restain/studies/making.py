"""``restain study make``: cases drawn, orders drawn, images encoded once, the key kept apart."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

import numpy as np

from restain.errors import RestainError, quoted
from restain.files import folder_aside
from restain.studies.encoding import encode_cases
from restain.studies.orders import Pair, crossover, place_sides, side_by_side
from restain.studies.questions import DESIGNS, MARKERS, PAIRED, Design, Marker, design_questions
from restain.studies.study_files import (
    IMAGES,
    KEY,
    LINKS,
    LONGEST_WASHOUT,
    Item,
    Key,
    Links,
    Study,
    write_secret,
    write_study,
)
from restain.studies.study_warnings import blinding_warnings, size_warnings
from restain.viewer.folders import pair_folders
from restain.viewer.pictures import Case, Role

MARGINS: dict[Design, float] = {"score": 0.1, "2afc": 0.1, "single": 0.1, "quality": 0.5, "preference": 0.1}


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
        return self.design in PAIRED


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
    groups: str = "auto",
    seed: int = 0,
) -> StudyMade:
    """Prepare a blinded reader study of virtual stains.

    Cases are the images of the same name in the folders; some are drawn by the seed. Every image is brought to one
    scale and encoded once by one encoder, under a name that says nothing. Nothing is served that is not in
    ``study.yaml``, ``images.sqlite`` and ``links.json``; ``key.json`` alone says which image is which.

    Designs: ``score`` (each image is scored on the marker's scale; each case once in each of two sessions), ``quality``
    (the same with ratings of 1 to 5), ``single`` (the same, real or virtual), ``2afc`` (which of two is real),
    ``preference`` (which of two is preferred).

    Args:
        out: folder to make; must be absent or empty.
        virtual: folder of virtual stains; two folders for a preference between two systems.
        real: folder of real IHC; left out where two systems are compared.
        source: folder of H&E, which is then shown beside each image.
        design: score, 2afc, single, quality or preference.
        marker: her2, er, pr or ki67; it sets the questions.
        cases: how many cases are read, besides those for training.
        readers: how many readers.
        repeats: images that each reader reads again at the end, after another washout.
        washout_days: between two sessions of a reader.
        training_cases: read first by each reader and not analysed.
        margin: of non-inferiority; by design: 0.1 of kappa (score), 0.5 points (quality), 0.1 of the share (2afc,
            single, preference).
        mpp: microns per pixel of every image, instead of what the files state.
        groups: which cases are of one slide or patient: auto (by the names of known data sets), none, a CSV file
            with the columns id and group, or a regular expression with one group in brackets. One case of each group
            is drawn before a second of any, and intervals resample groups as wholes.
        seed: of the draw of cases and of the orders.

    Returns:
        the folder, what was decided, and warnings.

    Raises:
        RestainError: an argument is out of its range, too few cases are in all folders, an image cannot be read, or
            the images of a case do not show the same field.
    """
    chosen = _checked(design, marker, margin)
    _refuse_counts(cases=cases, readers=readers, repeats=repeats, training_cases=training_cases, seed=seed)
    if not (isfinite(washout_days) and 0 <= washout_days <= LONGEST_WASHOUT):
        raise RestainError(f"washout_days: is {washout_days:g}; expected 0 to {LONGEST_WASHOUT}")
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
    rule, numbers = _group(found, groups)
    order = _spread(generator.permutation(len(found)), numbers)[:wanted]
    with folder_aside(Path(out)) as folder:
        made = encode_cases(
            folder / IMAGES, [found[index] for index in order], [numbers[index] for index in order], mpp, generator
        )
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
            groups=rule,
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
    warnings = [*size_warnings(study, cases, repeats), *blinding_warnings(study, made.origins, tuple(arms))]
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
    wanted = "a real and a virtual folder"
    if design == "preference":
        wanted += ", or two virtual folders"
    given = f"{len(systems)} virtual and {0 if real is None else 1} real"
    raise RestainError(f"design is {design} and the folders given are {given}; expected {wanted}")


def _complete_cases(arms: Mapping[str, tuple[Path, Role]], source: str | Path | None) -> list[Case]:
    """Cases that have an image in every folder: both arms, then the H&E where there is one."""
    places = list(arms.values())
    if source is not None:
        places.append((Path(source), "he"))
    for folder, _ in places:
        if not folder.is_dir():
            raise RestainError(f"{folder}: is no folder; expected a folder of images or slides")
    if len({folder.resolve() for folder, _ in places}) < len(places):
        raise RestainError(f"{places[0][0]}: is given twice; expected a folder of its own for each kind of image")
    cases = pair_folders([folder for folder, _ in places], [role for _, role in places])
    return [case for case in cases if len(case.pictures) == len(places)]


def _group(cases: Sequence[Case], groups: str) -> tuple[str, list[int]]:
    """How the groups were found, and the number of each case's group, from 1."""
    from restain.evaluation.grouping import group_images  # whose package loads much

    grouping = group_images([case.title for case in cases], groups)
    numbers = range(len(cases)) if grouping.numbers is None else grouping.numbers
    return grouping.rule, [int(number) + 1 for number in numbers]


def _spread(order: Iterable[int], groups: Sequence[int]) -> list[int]:
    """The order with one case of each group first, then a second of each, and so on."""
    turns: Counter[int] = Counter()
    ranked = []
    for index in map(int, order):
        ranked.append((turns[groups[index]], index))
        turns[groups[index]] += 1
    return [index for _, index in sorted(ranked, key=lambda one: one[0])]


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
        "single": "origin of single images",
        "preference": "preference",
    }
    return f"{MARKERS[chosen.marker]}: {endings[chosen.design]}"
