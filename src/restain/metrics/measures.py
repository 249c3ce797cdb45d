"""How the numbers come about that metrics are made of: measures of an image, of a pair, of feature vectors, of sets.

A measure is a function together with the columns of ``per_image.csv`` that it fills. It is written down beside its
function; a ``Metric`` names the measures that it needs, and an evaluation runs each of them once per image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt

from restain.images import RGB
from restain.metrics.learned.vectors import Rows
from restain.metrics.protocols import FeatureSettings, Protocol
from restain.stains import Floats

Marker: TypeAlias = Literal["nuclear", "membrane", "cytoplasm"]  # where the DAB of an antibody lies
T = TypeVar("T")


class _Remembering:
    """What was computed from an image or a pair, so that several measures that need it cost one computation."""

    def __init__(self) -> None:
        self._known: dict[Callable[[Any], Any], Any] = {}

    def once(self, compute: Callable[[Self], T]) -> T:
        """The result of ``compute`` on this object."""
        if compute not in self._known:
            self._known[compute] = compute(self)
        return cast(T, self._known[compute])


class MeasuredImage(_Remembering):
    """One image and what was computed from it.

    Args:
        rgb: uint8 (H, W, 3).
        mpp: microns per pixel; None where it is not known.
        marker: where the DAB of the antibody lies; None where it is not known.
        inside: bool (H, W), where cells are counted; None: everywhere.
    """

    def __init__(
        self,
        rgb: RGB,
        mpp: float | None,
        marker: Marker | None = None,
        inside: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        super().__init__()
        self.rgb, self.mpp, self.marker, self.inside = rgb, mpp, marker, inside


class MeasuredPair(_Remembering):
    """A virtual stain and what it is compared with, all uint8 (H, W, 3) of one shape.

    Args:
        real: the real stain.
        fake: the virtual stain.
        source: the H&E.
        protocol: under which the pair is measured.
    """

    def __init__(
        self, *, real: MeasuredImage, fake: MeasuredImage, source: MeasuredImage | None, protocol: Protocol
    ) -> None:
        super().__init__()
        self.real, self.fake, self.source, self.protocol = real, fake, source, protocol


@dataclass(frozen=True, kw_only=True)
class ImageMeasure:
    """Measured on the virtual and on the real stain by itself: the columns NAME and NAME_real for each name."""

    names: tuple[str, ...]
    function: Callable[[MeasuredImage], Sequence[float]]  # a value for each name; NaN where there is none
    needs_mpp: bool = False  # left out where the pixel size is not known
    empty: float | None = None  # what a virtual image without value counts as where the real one has a value
    needs_source: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class PairMeasure:
    """Measured on a pair: one column for each name."""

    names: tuple[str, ...]
    function: Callable[[MeasuredPair], Sequence[float]]  # a value for each name; NaN where there is none
    needs_source: bool = False  # left out where no H&E is given
    needs_mpp: bool = False  # left out where the pixel size is not known


@dataclass(frozen=True, kw_only=True)
class FeatureMeasure:
    """Measured on the feature vectors (d,) of a pair, real first: one column for each name."""

    names: tuple[str, ...]
    features: Callable[[Protocol], FeatureSettings | None]  # None: the protocol does not define it
    function: Callable[[Floats, Floats, Protocol], Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class DistanceMeasure:
    """Learned distance of a pair through a network whose maps stay at full size (LPIPS): one column."""

    name: str
    network: str  # name of the weight file of the convolutions
    heads: str  # name of the weight file of the weights of their channels

    @property
    def names(self) -> tuple[str, ...]:
        """The column."""
        return (self.name,)


@dataclass(frozen=True)
class SetScore:
    """A score of two sets of images as a whole.

    Attributes:
        value: in the unit of the metric.
        std: over random subsets, where the score is a mean of such.
        note: what a reader must know of this very score; empty where nothing.
        details: further numbers, such as fid_infinity; each can stand in JSON.
    """

    value: float
    std: float | None
    note: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SetMeasure:
    """Measured on the feature vectors of two whole sets, (n, d) real and (m, d) virtual."""

    features: Callable[[Protocol], FeatureSettings | None]  # None: the protocol does not define it
    function: Callable[[Rows, Rows, Protocol, int], SetScore]  # the last argument seeds subsets

    @property
    def names(self) -> tuple[str, ...]:
        """No column: an image by itself has no value."""
        return ()


@dataclass(frozen=True, kw_only=True)
class GivenMeasure:
    """Measured on what the user's own models made, nuclei or features: one column for each name, if any."""

    names: tuple[str, ...] = ()
    option: Literal["nuclei", "features"]  # of the evaluation, by which it is given


Measure: TypeAlias = ImageMeasure | PairMeasure | FeatureMeasure | DistanceMeasure | SetMeasure | GivenMeasure


def can_measure(measure: Measure, *, source: bool, mpp: bool) -> bool:
    """Whether a measure has what it needs: the H&E, the pixel size."""
    if isinstance(measure, ImageMeasure | PairMeasure):
        return (source or not measure.needs_source) and (mpp or not measure.needs_mpp)
    return True


def measure_image(image: MeasuredImage, measures: Iterable[Measure]) -> dict[str, float]:
    """The values of all image measures among ``measures``, by name."""
    row: dict[str, float] = {}
    for measure in measures:
        if isinstance(measure, ImageMeasure):
            row |= zip(measure.names, map(float, measure.function(image)), strict=True)
    return row


def counted_as_empty(
    row: Mapping[str, float], truth: Mapping[str, float], measures: Iterable[Measure]
) -> dict[str, float]:
    """``row`` of a virtual image, in which what has no value counts as ``empty`` where the real image has a value.

    A virtual field without nuclei has no share of positive ones. Left out, it would improve the mean.

    Args:
        row: values of the virtual image by name.
        truth: values of the real image by name with "_real".
        measures: those that made them.
    """
    filled = dict(row)
    for measure in measures:
        if isinstance(measure, ImageMeasure) and measure.empty is not None:
            for name in measure.names:
                if math.isnan(row[name]) and not math.isnan(truth[f"{name}_real"]):
                    filled[name] = measure.empty
    return filled


def measure_pair(pair: MeasuredPair, measures: Iterable[Measure]) -> dict[str, float]:
    """The values of all pair measures among ``measures``, by name."""
    row: dict[str, float] = {}
    for measure in measures:
        if isinstance(measure, PairMeasure):
            row |= zip(measure.names, map(float, measure.function(pair)), strict=True)
    return row
