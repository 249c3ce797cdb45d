"""Choices of a comparison. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Choices of ``bench`` that most users leave alone.

    Attributes:
        small: trains the ``-small`` forms of the recipes.
        batch: images per step of every recipe; "own": as each recipe states. None: 1 where there is a budget, else
            "own".
        overrides: ``section.field=value`` changes to every recipe.
        metrics: names or families of metrics; empty for all that can be computed.
        protocol: of the scores, as in ``evaluate``.
        test_split: held-out fields that are stained and evaluated: "val" or "test"; None: val, or test where no other
            split is held out.
        truth: which IHC they are compared with, such as "B" where "B_weak" is learned; None: the one that is learned.
        groups: which fields belong together, as in ``EvaluationOptions``.
        compare_with: data set of the literature whose published scores are shown, such as "mist-her2".
        device: auto, cpu or cuda.
        workers: trainings at a time with Ray; None: one for each GPU, or for each 4 cores where there is none.
    """

    small: bool = False
    batch: int | Literal["own"] | None = None
    overrides: Sequence[str] = ()
    metrics: Sequence[str] = ()
    protocol: str = "clean"
    test_split: str | None = None
    truth: str | None = None
    groups: str = "auto"
    compare_with: str | None = None
    device: str = "auto"
    workers: int | None = None
