"""Choices of an evaluation: which metrics, which images belong together, what of the literature stands beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Choices of ``evaluate`` that most users leave alone.

    Attributes:
        metrics: names or families of metrics; empty for all that can be computed.
        groups: which images belong together, such as the fields of a slide: "auto" (as the names of MIST and HEMIT
            tell), "none", a CSV file with the columns id and group, or a regular expression with one group in brackets.
        compare_with: data set of the literature whose published scores are shown beside, such as "mist-her2".
        mpp: microns per pixel of the images; metrics that look for cells need it.
        batch: images per pass of a feature network.
        device: of the feature networks: "auto", "cpu" or "cuda".
    """

    metrics: Sequence[str] = ()
    groups: str = "auto"
    compare_with: str | None = None
    mpp: float = 0.5
    batch: int = 8
    device: str = "auto"
