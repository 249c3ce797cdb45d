"""Images of the drawn cases on one scale and one extent, encoded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np

from restain.errors import RestainError
from restain.progress import ProgressBar
from restain.studies.image_writer import GLASS, Canvas, ImageWriter, Painter
from restain.studies.orders import Pair
from restain.studies.study_files import CasePictures, Encoding, PictureOrigin
from restain.viewer.library import QUALITY
from restain.viewer.opened import TILE
from restain.viewer.pictures import Case, Picture
from restain.wsi.geometry import Size
from restain.wsi.reader import open_slide
from restain.wsi.tissue import find_tissue

Arm: TypeAlias = Literal["first", "second", "he"]

_CROPPED = 0.05  # two sizes that differ by less are cut to the smaller; else the smaller is put on glass
_SLIDE = 2000.0  # µm: an image wider than this is a whole slide, whose glass is made the same


@dataclass(frozen=True)
class _Sizes:
    """What the files of a case state."""

    pixels: Mapping[Arm, Size]
    mpp: Mapping[Arm, float]  # 1 where nothing is stated
    known: bool

    def microns(self, arm: Arm) -> tuple[float, float]:
        return self.pixels[arm].width * self.mpp[arm], self.pixels[arm].height * self.mpp[arm]


@dataclass(frozen=True)
class EncodedCases:
    """Images of a study as they were written."""

    pairs: tuple[Pair, ...]  # in the order of the drawn cases
    cases: dict[str, CasePictures]
    names: dict[str, str]
    origins: dict[str, PictureOrigin]
    encoding: Encoding


def encode_cases(
    path: Path, drawn: Sequence[Case], groups: Sequence[int], mpp: float | None, generator: np.random.Generator
) -> EncodedCases:
    """Write all images on the common scale; numbers and places in the file are random, so they say nothing.

    Args:
        path: ``images.sqlite``, to be written.
        drawn: cases whose pictures are those of the first arm, of the second, and the H&E where it is shown.
        groups: number of the group of each case, from 1.
        mpp: microns per pixel of every image, instead of what the files state.
        generator: of the numbers.

    Raises:
        RestainError: an image cannot be read, the images of a case do not show the same field, or some images state
            their microns per pixel and some do not.
    """
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
    with (
        ImageWriter(path) as writer,
        ProgressBar("encoding", total=sum(len(case.pictures) for case in drawn), unit="images") as bar,
    ):
        for number, (case, group, stated) in enumerate(zip(drawn, groups, sizes, strict=True), 1):
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
            cases[id] = CasePictures(
                pictures=shown,
                he=ids.get("he"),
                width=canvas.size.width,
                height=canvas.size.height,
                group=group,
            )
        size = writer.finish()
    encoding = Encoding(
        quality=QUALITY, tile=TILE, mpp=scale, scale_known=known == {True}, background=GLASS, bytes=size
    )
    return EncodedCases(tuple(pairs), cases, names, origins, encoding)


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
        light = writer.add(id, canvas, Painter(slide, tissue))
    return PictureOrigin(
        arm=arm,
        file=str(picture.path),
        pixels=str(stated.pixels[arm]),
        mpp=mpp if stated.known else None,
        glass=tissue.background if tissue else None,
        light=light,
    )
