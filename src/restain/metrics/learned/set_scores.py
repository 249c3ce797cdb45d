"""Figures of two sets of feature vectors, with what a reader must know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from restain.metrics.learned.frechet import RELIABLE, fid_infinity, fit_gaussian, frechet_distance
from restain.metrics.learned.kernel import SUBSET_SIZE, kernel_distance, kernel_distance_of_subsets
from restain.metrics.learned.vectors import Rows
from restain.metrics.statistics.bootstrap import NotComputed

_THOUSANDTHS = 1000.0  # the unit in which the field prints KID


@dataclass(frozen=True)
class SetFigure:
    """A figure of two sets of images.

    Attributes:
        value: in the unit of the metric's registry row.
        std: over random subsets, where the metric is a mean of such.
        note: what a reader must know of this very figure; empty where nothing.
        details: further numbers, such as fid_infinity; each can stand in JSON.
    """

    value: float
    std: float | None
    note: str
    details: Mapping[str, Any] = field(default_factory=dict)


def fid_figure(real: Rows, fake: Rows, seed: int) -> SetFigure:
    """FID of rows (n, d) and (m, d), with fid_infinity and the subsets it comes from where there are enough images.

    Raises:
        NotComputed: a set has fewer than 2 images.
    """
    value = frechet_distance(fit_gaussian(real), fit_gaussian(fake))
    n = min(len(real), len(fake))
    few = f"{n} images are fewer than {RELIABLE}: too large by an unknown amount, compare only at equal n"
    try:
        line = fid_infinity(real, fake, seed)
    except NotComputed as reason:
        return SetFigure(value, None, f"{few}; no fid_infinity: {reason}")
    details = {"fid_infinity": line.value, "subset_sizes": list(line.sizes), "subset_values": list(line.values)}
    return SetFigure(value, None, f"{few}; fid_infinity is a rough guess below that" if n < RELIABLE else "", details)


def kid_figure(real: Rows, fake: Rows) -> SetFigure:
    """KID over all images, in thousandths; sets of one size are taken as pairs, see ``kernel_distance``.

    Raises:
        NotComputed: a set has fewer than 2 images.
    """
    return SetFigure(_THOUSANDTHS * kernel_distance(real, fake, paired=len(real) == len(fake)), None, "")


def kid_of_subsets_figure(real: Rows, fake: Rows, seed: int) -> SetFigure:
    """Mean and standard deviation of KID over random subsets, in thousandths.

    Raises:
        NotComputed: a set has fewer than 2 images.
    """
    values = _THOUSANDTHS * kernel_distance_of_subsets(real, fake, seed)
    n = min(len(real), len(fake))
    if n <= SUBSET_SIZE:
        return SetFigure(float(values.mean()), None, f"{n} images: every subset is the whole set")
    return SetFigure(float(values.mean()), float(values.std(ddof=1)), f"std over {len(values)} subsets")
