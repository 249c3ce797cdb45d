"""Published scores of the field, each with its protocol and its source, to be read beside one's own."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files

from restain.errors import RestainError
from restain.evaluation.schema import Literature, PublishedRow
from restain.metrics import PROTOCOLS, Protocol


@dataclass(frozen=True, kw_only=True)
class PublishedScore:
    """One number of the literature, as printed there; ``kid`` is multiplied by 1000, ``lpips`` names no network."""

    data_set: str
    split: str  # "train", "val" or "test"; empty where the paper does not say, as for the next two
    n: int | None  # images
    size: str  # "1024x1024", width x height
    method: str
    metric: str
    value: float
    std: float | None
    protocol: str  # "unknown" where the paper does not say
    source: str

    def differs(self, from_: Setting) -> list[str]:
        """What keeps a score of this setting from standing beside this one; nothing where they are comparable."""
        theirs = PROTOCOLS.get(self.protocol)
        settings = theirs.section(self.metric) if theirs else None
        same_protocol = settings is not None and settings == from_.protocol.section(self.metric)
        agrees = {
            "protocol": same_protocol,
            "data set": self.data_set == from_.data_set,
            "split": bool(self.split) and self.split == from_.split,
            "n": self.n is not None and self.n == from_.n,
            "size": bool(self.size) and self.size == from_.size,
        }
        return [word for word, same in agrees.items() if not same]


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What must agree before two scores are compared."""

    protocol: Protocol
    data_set: str | None  # as recognised by the names of the images
    split: str | None
    n: int
    size: str  # "1024x1024", width x height


@cache
def _everything() -> tuple[PublishedScore, ...]:
    text = files("restain.evaluation").joinpath("literature.csv").read_text(encoding="utf-8")
    return tuple(_score(row) for row in csv.DictReader(text.splitlines()))


def _score(row: Mapping[str, str]) -> PublishedScore:
    return PublishedScore(
        data_set=row["data_set"],
        split=row["split"],
        n=int(row["n"]) if row["n"] else None,
        size=row["size"],
        method=row["method"],
        metric=row["metric"],
        value=float(row["value"]),
        std=float(row["std"]) if row["std"] else None,
        protocol=row["protocol"],
        source=row["source"],
    )


def known_data_sets() -> list[str]:
    """The data sets that have published scores."""
    return list(dict.fromkeys(score.data_set for score in _everything()))


def published(data_set: str) -> list[PublishedScore]:
    """All published scores of a data set, such as "mist-her2"; RestainError names the known ones."""
    found = [score for score in _everything() if score.data_set == data_set.lower()]
    if not found:
        raise RestainError(f"compare_with: {data_set!r} is not known; expected one of {', '.join(known_data_sets())}")
    return found


def place_beside(scores: Sequence[PublishedScore], setting: Setting) -> Literature:
    """The scores as they stand in the summary, each with what differs from this setting; nothing: comparable."""
    rows = []
    for score in scores:
        differs = score.differs(setting)
        rows.append(PublishedRow(**asdict(score), comparable=not differs, differs=differs))
    return Literature(data_set=scores[0].data_set, rows=rows)
