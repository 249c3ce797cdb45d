"""Published figures of the field, each with its protocol and its source, to be read beside one's own."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from restain.errors import RestainError

_SAME_PIXELS = {"asp2023", "bci2022"}  # one SSIM and PSNR under two names


@dataclass(frozen=True)
class PublishedFigure:
    """One number of the literature, as printed there; ``kid`` is multiplied by 1000, ``lpips`` names no network."""

    data_set: str
    method: str
    metric: str
    value: float
    std: float | None
    protocol: str  # "unknown" where the paper does not say
    source: str

    def comparable(self, protocol: str) -> bool:
        """Whether a figure under this protocol may stand beside it."""
        if self.metric in ("ssim", "psnr") and {self.protocol, protocol} <= _SAME_PIXELS:
            return True
        return self.protocol == protocol


@cache
def _everything() -> tuple[PublishedFigure, ...]:
    text = files("restain.evaluation").joinpath("literature.csv").read_text(encoding="utf-8")
    return tuple(_figure(row) for row in csv.DictReader(text.splitlines()))


def _figure(row: Mapping[str, str]) -> PublishedFigure:
    std = float(row["std"]) if row["std"] else None
    return PublishedFigure(
        row["data_set"], row["method"], row["metric"], float(row["value"]), std, row["protocol"], row["source"]
    )


def published(data_set: str) -> list[PublishedFigure]:
    """All published figures of a data set, such as "mist-her2"; RestainError names the known ones."""
    found = [figure for figure in _everything() if figure.data_set == data_set.lower()]
    if not found:
        known = ", ".join(dict.fromkeys(figure.data_set for figure in _everything()))
        raise RestainError(f"compare_with: {data_set!r} is not known; expected one of {known}")
    return found


def place_beside(figures: Sequence[PublishedFigure], protocol: str) -> dict[str, Any]:
    """The figures as they stand in the summary, each marked as comparable with figures of this protocol or not."""
    rows = [asdict(figure) | {"comparable": figure.comparable(protocol)} for figure in figures]
    return {"data_set": figures[0].data_set, "rows": rows}
