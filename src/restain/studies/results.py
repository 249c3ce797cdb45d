"""What ``analysis.json`` holds."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

from restain.studies.questions import Design

Interval: TypeAlias = tuple[float, float]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(_Part):
    """A number with its 95 % interval; ``note`` is the reason where one of the two is missing."""

    value: float | None
    ci95: Interval | None
    n: int  # readings, or pairs of readings
    groups: int  # that were resampled: cases, or slides with several
    note: str = ""


class Agreement(_Part):
    """How far two readings of the same cases agree."""

    measure: str
    title: str
    comparison: str  # such as "virtual and real, same reader"
    readers: tuple[str, ...]  # one, two, or all of the pool
    pooled: bool
    kappa: Estimate | None  # quadratic weights over the classes
    icc: Estimate | None  # ICC(2,1) of the numbers
    identical: Estimate | None  # share of the same class
    bias: Estimate | None  # mean difference of the numbers, in their unit


class AtCutoff(_Part):
    """Agreement of yes or no at one cut-off, the first reading taken as the reference."""

    cutoff: str  # the lowest class that counts as positive
    positive: Estimate  # share of the reference's positives that are positive; exact interval
    negative: Estimate
    overall: Estimate


class Confusion(_Part):
    """Classes of one arm against those of the other."""

    measure: str
    title: str
    readers: tuple[str, ...]
    classes: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]  # rows: first arm; columns: second arm
    cutoffs: tuple[AtCutoff, ...]


class Rating(_Part):
    """Second arm minus first arm of one measure, by Wilcoxon's signed-rank test."""

    measure: str
    title: str
    readers: tuple[str, ...]
    pooled: bool  # over readers: each case's mean difference
    first: float  # mean
    second: float
    difference: Estimate
    first_counts: tuple[int, ...]  # readings in each class; empty for a number without classes
    second_counts: tuple[int, ...]
    p: float | None
    p_holm: float | None  # over the measures of the same readers
    test: str  # its name, or why there is none


class Choice(_Part):
    """How often an arm was chosen among two images."""

    readers: tuple[str, ...]
    pooled: bool
    chosen: int  # 2AFC: the real one was found; preference: the second arm was preferred
    decided: int  # readings with a choice
    undecided: int
    rate: Estimate  # exact (Clopper-Pearson) interval
    over_groups: Estimate | None  # the pool: interval by resampling cases, since readers see the same ones
    p: float | None  # two-sided exact binomial test against 0.5


class Noninferiority(_Part):
    """Whether the second arm is worse than the first by less than the margin that was set beforehand."""

    what: str
    estimate: Estimate
    margin: float
    bound: float | None  # the end of the 95 % interval that decides
    shown: bool | None  # None: it could not be computed
    sentence: str


class Seconds(_Part):
    """How long readings took."""

    readers: tuple[str, ...]
    arm: str  # or "both" for pairs
    n: int
    median: float
    quartiles: Interval


class Reader(_Part):
    """How far a reader came."""

    name: str
    answered: int
    expected: int  # without training cases
    unreadable: dict[str, int]  # by arm
    reopened: int  # items whose page was opened more than once


class Comment(_Part):
    """Free text of a reader."""

    reader: str
    case: str
    arm: str
    text: str


class Analysis(_Part):
    """Everything that ``restain study analyse`` found."""

    version: int = 1
    title: str
    design: Design
    marker: str
    arms: tuple[str, str]
    seed: int
    margin: float
    restain: str
    study_sha256: str
    warnings: tuple[str, ...]
    readers: tuple[Reader, ...]
    cases: int
    groups: str  # which cases are resampled together
    noninferiority: tuple[Noninferiority, ...]
    agreement: tuple[Agreement, ...]
    confusion: tuple[Confusion, ...]
    ratings: tuple[Rating, ...]
    choices: tuple[Choice, ...]
    seconds: tuple[Seconds, ...]
    comments: tuple[Comment, ...]
