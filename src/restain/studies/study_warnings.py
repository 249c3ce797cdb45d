"""What the field would say of a study before it is read: too small, too soon, or not blind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from restain.studies.study_files import PictureOrigin, Study, steps_of

_EXPECTED_CASES = 60  # College of American Pathologists 2021, validation of whole slide imaging: of the first use
_EXPECTED_MORE = 20  # and of each further one, such as IHC
_EXPECTED_CHOICES = 96  # 95 % interval of a share near one half: 10 points to each side
_EXPECTED_WASHOUT = 14.0  # days, the same guideline
_EXPECTED_READERS = 3  # as in Bai et al. 2022
_GLASS_TELLS = 0.9  # share of pairs of images, one of each arm, in which the same arm has the lighter glass


def size_warnings(study: Study, cases: int, repeats: int) -> Iterator[str]:
    """Sentences about sizes below those that the field expects."""
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
    read = {study.case_of[item[0]] for item in study.readers["reader-1"].sessions[0]}
    groups = len({study.cases[case].group for case in read})
    if groups < cases:
        yield f"the {cases} cases are of {groups} slides or patients, which is what intervals count ({study.groups})"
    if len(study.readers) < _EXPECTED_READERS:
        yield f"{len(study.readers)} readers are less than {_EXPECTED_READERS}, which published studies have"
    if len(study.readers) == 1 and study.design == "score":
        yield "with one reader there is no agreement between readers, and non-inferiority cannot be computed"
    if study.washout_days < _EXPECTED_WASHOUT and steps_of(study, "reader-1")[-1].session:
        yield f"a washout of {study.washout_days:g} days is shorter than 14 (CAP 2021)"
    if not repeats:
        yield "no image is read twice, so the agreement of a reader with himself or herself will not be known"


def blinding_warnings(study: Study, origins: Mapping[str, PictureOrigin], arms: Sequence[str]) -> Iterator[str]:
    """Sentences about what may tell the arms apart, other than the stain."""
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
