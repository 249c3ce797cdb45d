"""Published scores of the field, each with its protocol and its source, to be read beside one's own."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

from restain.errors import RestainError
from restain.evaluation.schema import Literature, PublishedRow
from restain.metrics import PROTOCOLS


@dataclass(frozen=True)
class PublishedScore:
    """One number of the literature, as printed there; ``kid`` is multiplied by 1000, ``lpips`` names no network."""

    data_set: str
    method: str
    metric: str
    value: float
    std: float | None
    protocol: str  # "unknown" where the paper does not say
    source: str

    def comparable(self, protocol: str) -> bool:
        """Whether a score under this protocol may stand beside it: the settings of the metric are the same."""
        if self.protocol == protocol:
            return True
        theirs, ours = PROTOCOLS.get(self.protocol), PROTOCOLS.get(protocol)
        if theirs is None or ours is None:
            return False
        settings = theirs.section(self.metric)
        return settings is not None and settings == ours.section(self.metric)


@cache
def _everything() -> tuple[PublishedScore, ...]:
    text = files("restain.evaluation").joinpath("literature.csv").read_text(encoding="utf-8")
    return tuple(_score(row) for row in csv.DictReader(text.splitlines()))


def _score(row: Mapping[str, str]) -> PublishedScore:
    std = float(row["std"]) if row["std"] else None
    return PublishedScore(
        row["data_set"], row["method"], row["metric"], float(row["value"]), std, row["protocol"], row["source"]
    )


def published(data_set: str) -> list[PublishedScore]:
    """All published scores of a data set, such as "mist-her2"; RestainError names the known ones."""
    found = [score for score in _everything() if score.data_set == data_set.lower()]
    if not found:
        known = ", ".join(dict.fromkeys(score.data_set for score in _everything()))
        raise RestainError(f"compare_with: {data_set!r} is not known; expected one of {known}")
    return found


def place_beside(scores: Sequence[PublishedScore], protocol: str) -> Literature:
    """The scores as they stand in the summary, each marked as comparable with scores of this protocol or not."""
    rows = [PublishedRow(**asdict(score), comparable=score.comparable(protocol)) for score in scores]
    return Literature(data_set=scores[0].data_set, rows=rows)
