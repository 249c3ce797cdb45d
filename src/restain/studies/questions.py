"""What a reader is asked, what counts as an answer, and which numbers an answer gives."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from restain.errors import RestainError, quoted
from restain.sections import Line, Section

Design: TypeAlias = Literal["score", "2afc", "single", "quality", "preference"]
DESIGNS: tuple[Design, ...] = ("score", "2afc", "single", "quality", "preference")
PAIRED: tuple[Design, ...] = ("2afc", "preference")  # whose items are two images side by side
Marker: TypeAlias = Literal["her2", "er", "pr", "ki67"]
MARKERS: dict[Marker, str] = {"her2": "HER2", "er": "ER", "pr": "PR", "ki67": "Ki67"}  # as the field writes them
INTENSITIES = ("1+", "2+", "3+")
ORIGINS = ("Real", "Virtual")  # answers of design single: places 0 and 1 are those of the arms
_ROUNDING = 1e-9  # of a sum of percentages
LEFT, RIGHT, NEITHER = 0, 1, 2  # values of an answer to a question of sides

Id: TypeAlias = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


@dataclass(frozen=True)
class Measure:
    """One number that is read from the answers to a question.

    Attributes:
        name: column of ``readings.csv``.
        title: what pages call it.
        unit: of the number; empty for a class.
        classes: names of its classes from low to high; empty for a number that is not cut into classes.
        cutoffs: first value of each class but the lowest.
    """

    name: str
    title: str
    unit: str
    classes: tuple[str, ...]
    cutoffs: tuple[float, ...]

    def class_of(self, value: float) -> int:
        """Which class a value belongs to; a value at a cut-off belongs to the class above it."""
        return bisect_right(self.cutoffs, value)


class _Asked(Section):
    id: Id
    text: Line


class Choice(_Asked):
    """One of several ordered classes; ``cutoffs`` are the classes at which agreement is also counted as yes or no."""

    kind: Literal["choice"] = "choice"
    options: Annotated[tuple[Line, ...], Field(min_length=2, max_length=12)]
    ends: tuple[Line, Line] | None = None  # what the lowest and the highest class mean
    lowest: int = 0  # number of the lowest class; each further one is one more
    cutoffs: tuple[int, ...] = ()  # places of options, from 1

    @model_validator(mode="after")
    def _checked(self) -> Choice:
        if any(not 0 < cutoff < len(self.options) for cutoff in self.cutoffs):
            raise ValueError(f"cutoffs is {self.cutoffs}; expected places of options, 1 to {len(self.options) - 1}")
        return self

    def measures(self) -> tuple[Measure, ...]:
        """The number of the class."""
        starts = tuple(float(self.lowest + place) for place in range(1, len(self.options)))
        return (Measure(self.id, self.text, "", self.options, starts),)

    def values(self, answer: Any) -> dict[str, float]:
        """Raises RestainError where the answer is no option."""
        if type(answer) is not int or not 0 <= answer < len(self.options):
            raise RestainError(f"{self.id}: is {quoted(answer)}; expected the place of an option")
        return {self.id: float(self.lowest + answer)}


class Percent(_Asked):
    """A share of cells from 0 to 100 %, cut into classes for kappa."""

    kind: Literal["percent"] = "percent"
    cutoffs: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _checked(self) -> Percent:
        _refuse_cutoffs(self.cutoffs)
        return self

    def measures(self) -> tuple[Measure, ...]:
        """The percentage."""
        return (Measure(self.id, self.text, "%", _class_names(self.cutoffs), self.cutoffs),)

    def values(self, answer: Any) -> dict[str, float]:
        """Raises RestainError where the answer is no percentage."""
        return {self.id: _percentage(self.id, answer)}


class Intensities(_Asked):
    """Shares of cells that stain 1+, 2+ and 3+: they give percent positive and the H-score (0 to 300).

    Source: McCarty et al., Cancer Research 46 (1986): H = 1 x (% at 1+) + 2 x (% at 2+) + 3 x (% at 3+).
    """

    kind: Literal["intensities"] = "intensities"
    cutoffs: tuple[float, ...] = ()  # of percent positive

    @model_validator(mode="after")
    def _checked(self) -> Intensities:
        _refuse_cutoffs(self.cutoffs)
        return self

    def measures(self) -> tuple[Measure, ...]:
        """Percent positive, cut into classes, and the H-score."""
        return (
            Measure(f"{self.id}_percent", "Percent positive", "%", _class_names(self.cutoffs), self.cutoffs),
            Measure(f"{self.id}_h_score", "H-score", "", (), ()),
        )

    def values(self, answer: Any) -> dict[str, float]:
        """Raises RestainError where the answer is not three percentages, or their sum is above 100."""
        if not isinstance(answer, list) or len(answer) != len(INTENSITIES):
            raise RestainError(f"{self.id}: is {quoted(answer)}; expected the percentages at 1+, 2+ and 3+")
        shares = [_percentage(self.id, share) for share in answer]
        if sum(shares) > 100 + _ROUNDING:
            raise RestainError(f"{self.id}: 1+, 2+ and 3+ make {sum(shares):g} % together; expected at most 100 %")
        h_score = sum(weight * share for weight, share in enumerate(shares, 1))
        return {f"{self.id}_percent": min(sum(shares), 100.0), f"{self.id}_h_score": h_score}


class Side(_Asked):
    """The left or the right image, or neither where that is allowed."""

    kind: Literal["side"] = "side"
    neither: Line | None = None  # what the third answer is called; None: one side must be chosen

    def measures(self) -> tuple[Measure, ...]:
        """None: which side is which depends on the case."""
        return ()

    def values(self, answer: Any) -> dict[str, float]:
        """Raises RestainError where the answer is no side."""
        if type(answer) is not int or answer not in ((LEFT, RIGHT, NEITHER) if self.neither else (LEFT, RIGHT)):
            raise RestainError(f"{self.id}: is {quoted(answer)}; expected 0 for left or 1 for right")
        return {self.id: float(answer)}


Question: TypeAlias = Annotated[Choice | Percent | Intensities | Side, Field(discriminator="kind")]


def check_answer(questions: tuple[Question, ...], answer: Mapping[str, Any], *, complete: bool) -> None:
    """Raise RestainError where an answer names an unknown question, has a value that is none, or lacks one.

    Args:
        questions: of the study.
        answer: by question.
        complete: every question must be answered.
    """
    known = {question.id: question for question in questions}
    for id, value in answer.items():
        if id not in known:
            raise RestainError(f"{quoted(id)}: is no question of this study")
        known[id].values(value)
    missing = [question.text for question in questions if question.id not in answer]
    if complete and missing:
        raise RestainError(f"{missing[0]}: has no answer yet")


def design_questions(design: Design, marker: Marker) -> tuple[Question, ...]:
    """The questions of a design, by the marker's own scale.

    Sources: HER2 0 to 3+ and ER and PR 1 % and 10 %: ASCO/CAP guidelines (2018, 2020); Ki67 5 % and 30 %: International
    Ki67 in Breast Cancer Working Group (2021); quality of virtual stains: Bai et al., BME Frontiers (2022).
    """
    name = MARKERS[marker]
    if design == "2afc":
        return (Side(id="real", text=f"Which one is the real {name} stain, made in a laboratory?"),)
    if design == "single":
        text = f"Is this {name} stain real, made in a laboratory, or virtual, computed from another image?"
        return (Choice(id="origin", text=text, options=ORIGINS),)
    if design == "preference":
        text = f"On which of the two would you rather score {name}?"
        return (Side(id="preferred", text=text, neither="No preference"),)
    if design == "quality":
        place = "Membrane staining: clear and complete" if marker == "her2" else "Nuclear staining: clear and specific"
        texts = {
            "nuclei": "Nuclear detail",
            "staining": place,
            "background": "Background free of unspecific stain",
            "artefacts": "Free of artefacts",
        }
        return tuple(
            Choice(
                id=id, text=text, options=("1", "2", "3", "4", "5"), ends=("poor", "excellent"), lowest=1, cutoffs=(3,)
            )
            for id, text in texts.items()
        )
    if marker == "her2":
        return (Choice(id="her2", text="HER2 score", options=("0", "1+", "2+", "3+"), cutoffs=(1, 2, 3)),)
    if marker == "ki67":
        return (Percent(id="ki67", text="Ki67 index: tumour nuclei that are stained", cutoffs=(5, 30)),)
    return (Intensities(id=marker, text=f"{name}: tumour nuclei at each intensity", cutoffs=(1, 10)),)


def _percentage(id: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (isfinite(value) and 0 <= value <= 100):
        raise RestainError(f"{id}: is {quoted(value)}; expected a percentage, 0 to 100")
    return float(value)


def _refuse_cutoffs(cutoffs: tuple[float, ...]) -> None:
    if list(cutoffs) != sorted(set(cutoffs)) or any(not 0 < cutoff <= 100 for cutoff in cutoffs):
        raise ValueError(f"cutoffs is {cutoffs}; expected rising percentages above 0, up to 100")


def _class_names(cutoffs: tuple[float, ...]) -> tuple[str, ...]:
    if not cutoffs:
        return ()
    middle = [f"{low:g} to < {high:g} %" for low, high in pairwise(cutoffs)]
    return f"< {cutoffs[0]:g} %", *middle, f"≥ {cutoffs[-1]:g} %"
