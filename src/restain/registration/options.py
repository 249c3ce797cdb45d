"""What a user may choose about pairs."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from restain.errors import RestainError


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How tiles are cut from slides, and which of them are kept.

    Attributes:
        tile: side in pixels.
        mpp: microns per pixel of the tiles.
        limit: most tiles in all, of which each pair of slides gives at most an equal share of what is left; None for
            all.
        per_slide: most tiles of one pair of slides; None for all.
        balance: "dab" takes as many tiles of each quarter of the range of positivity as there are; "none" takes them
            as they come.
        val: share of the patients that go to validation, 0 to 1.
        test: share that goes to the test set.
        seed: which patients and, where not all are taken, which tiles.
        max_residual: microns; tiles with a larger residual displacement are discarded.
        min_confidence: 0 to 1; tiles of which a smaller share agrees with the neighbours are discarded.
        min_tissue: 0 to 1; tiles with less tissue are glass.
        max_blur: 0 to 1, the blur effect above which either side is out of focus.
        max_pen: 0 to 1, largest share of ink.
        max_fold: 0 to 1, largest share of folded tissue.
    """

    tile: int = 1024
    mpp: float = 0.5
    limit: int | None = None
    per_slide: int | None = None
    balance: Literal["none", "dab"] = "none"
    val: float = 0.15
    test: float = 0.15
    seed: int = 0
    max_residual: float = 10.0
    min_confidence: float = 0.25
    min_tissue: float = 0.4
    max_blur: float = 0.65
    max_pen: float = 0.01
    max_fold: float = 0.1

    def __post_init__(self) -> None:
        _check("tile", self.tile, 128, 8192)
        _check("mpp", self.mpp, 0.1, 8.0)
        for name in ("limit", "per_slide"):
            if getattr(self, name) is not None:
                _check(name, getattr(self, name), 1, 10**9)
        for name in ("val", "test", "min_confidence", "min_tissue", "max_blur", "max_pen", "max_fold"):
            _check(name, getattr(self, name), 0.0, 1.0)
        if self.val + self.test >= 1:
            raise RestainError(
                f"val and test: are {self.val:g} and {self.test:g} of the patients; expected less than 1 in all"
            )
        _check("max_residual", self.max_residual, 0.1, 1000.0)
        if self.balance not in ("none", "dab"):
            raise RestainError(f"balance: is {self.balance!r}; expected none or dab")


def _check(name: str, value: float, low: float, high: float) -> None:
    if not (isfinite(value) and low <= value <= high):
        raise RestainError(f"{name}: {value} is out of range; expected {low:g} to {high:g}")
