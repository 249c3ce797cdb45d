"""What ``summary.json`` holds, written down once for its writer and for every reader; imports no torch.

docs/evaluation.md describes the fields for those who read the file without Python.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from restain.errors import RestainError, quoted
from restain.files import read_json

SUMMARY = "summary.json"
PER_IMAGE = "per_image.csv"  # a row per virtual stain and image: id, system, and a column per measure
PER_IMAGE_BASELINES = "per_image_baselines.csv"  # the same for the baselines
FORMAT = 2  # raised when a field changes its meaning or goes


def _from_text(value: object) -> object:
    return float(value) if isinstance(value, str) and value in ("inf", "-inf") else value


def _to_text(value: float) -> float | str:
    return value if math.isfinite(value) else "inf" if value > 0 else "-inf"


Number: TypeAlias = Annotated[
    float, BeforeValidator(_from_text), PlainSerializer(_to_text, when_used="json")
]  # JSON has no infinity: the text "inf"
Interval: TypeAlias = tuple[float, float]  # low and high end of 95 %


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=True)


class Score(_Part):
    """One metric of one system."""

    mean: Number  # over images; the statistic itself where level is "set"; inf where PSNR is
    std: float | None  # over images, n - 1; None for a statistic of the set or where it is undefined
    ci95: Interval | None
    n: int  # images that have a value
    level: Literal["image", "set"]
    family: str
    protocol: str
    direction: Literal["higher", "lower", "none"]  # which is better
    unit: str
    definition: str
    source: str
    note: str = ""  # what a reader must know of this very score
    details: dict[str, Any] = Field(default_factory=dict)  # further numbers that belong to it


Scores: TypeAlias = dict[str, Score]  # by metric


class SystemComparison(_Part):
    """The difference of two systems in one metric: first minus second."""

    metric: str
    family: Literal["systems", "baselines"]  # over which Holm corrected
    first: str
    second: str
    difference: Number
    ci95: Interval | None
    p: float | None  # two-sided, before correction; None where there is no test
    p_holm: float | None
    better: str | None  # name of the better one where p_holm < 0.05
    test: str  # its name, or "no test: " and the reason
    n: int


class Ranks(_Part):
    """The order of all systems and baselines."""

    systems: list[str]  # from best to worst
    mean_rank: dict[str, float]  # by system: mean over families; 1 is best
    by_family: dict[str, dict[str, float]]  # family, system: mean rank over its metrics
    metrics: list[str]  # that voted
    displaced: list[str]  # systems that stain the wrong places; they rank behind all others
    failed: dict[str, list[str]] = Field(default_factory=dict)  # system to families in which the H&E is as good
    without_value: dict[str, list[str]]  # metric to the systems that were worst in it for lack of a value


class PublishedRow(_Part):
    """One score of the literature."""

    data_set: str
    split: str  # empty where the paper does not say, as for the next two
    n: int | None
    size: str
    method: str
    metric: str
    value: float
    std: float | None
    protocol: str
    source: str
    comparable: bool  # with scores of this evaluation
    differs: list[str]  # of protocol, data set, split, n and size, what keeps it from being compared


class Literature(_Part):
    """Published scores of a data set."""

    data_set: str
    rows: list[PublishedRow]


class Groups(_Part):
    """Which images were drawn together."""

    rule: str
    count: int | None  # None: every image by itself


class Weights(_Part):
    """Which file of weights a learned metric used."""

    name: str
    sha256: str
    heads_sha256: str | None = None  # of LPIPS


class StainedBy(_Part):
    """The stainer that made the images of a system, as the ``staining.json`` beside them records it."""

    stainer: str  # SHA-256 of the weights and of the statistics that belong to them
    weights_sha256: str
    recipe: str
    stain: str | None
    mpp: float | None  # microns per pixel at which it works
    norm: str


class Summary(_Part):
    """Everything that an evaluation found, and how."""

    format: int
    command: str  # that wrote it: the command line, or the program that called ``evaluate``
    created: str  # ISO 8601, with time zone
    restain: str
    versions: dict[str, str]
    protocol: str
    protocol_definition: str
    protocol_settings: dict[str, Any]  # every setting of the protocol
    seed: int
    n: int
    resolution: str  # "512x512" (width x height), or "mixed (512x512 to 1024x1024)"
    groups: Groups
    mpp: float | None  # microns per pixel
    mpp_source: str  # where it is known from, or why it is not
    marker: Literal["nuclear", "membrane", "cytoplasm"] | None  # where the DAB lies
    marker_source: str
    stain: str | None = None  # such as "ki67"
    data_set: str | None  # as in the published scores, such as "mist-her2"
    split: str | None
    files_sha256: str  # of the sorted lines "role name sha256" of all images read
    folders: dict[str, str | None]  # absolute paths by role
    weights: dict[str, Weights]  # by learned metric
    systems: dict[str, Scores]  # the virtual stains, in the order given
    stainers: dict[str, StainedBy] = Field(default_factory=dict)  # by virtual stain; none where it is not recorded
    baselines: dict[str, Scores]
    ceiling: dict[str, Scores] = Field(default_factory=dict)  # a second section of the truth; takes no part in ranks
    comparisons: list[SystemComparison]
    comparisons_family: str  # over what Holm corrected
    ranking: Ranks | None
    literature: Literature | None
    verdict: dict[str, str]  # by virtual stain: what the scores say of it
    warnings: list[str]  # what is suspicious about the inputs
    not_computed: dict[str, str]  # NAME, "NAME ci95", "SYSTEM: NAME" or "ranking" to the reason


def to_json(summary: Summary) -> dict[str, Any]:
    """The summary as plain JSON values."""
    return summary.model_dump(mode="json")


def read_summary(path: Path) -> Summary:
    """Read ``summary.json``.

    Raises:
        RestainError: the file is not JSON, is of another version, or a field is missing or has another type.
    """
    value = read_json(path)
    if value.get("format") != FORMAT:
        found = quoted(value.get("format"))
        raise RestainError(f"{path}: field 'format' is {found}; expected {FORMAT}: evaluate again with this version")
    try:
        return Summary.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RestainError(f"{path}: field {field!r} does not fit: {first['msg'].lower()}") from error
