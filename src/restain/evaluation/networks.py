"""The learned metrics of every system: what trained networks see, where their weights are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from restain.evaluation.inputs import Match
from restain.evaluation.results import Evidence
from restain.evaluation.systems import TRANSFER, UNCHANGED, role_of
from restain.metrics import Estimate, NotComputed
from restain.metrics.learned.measurement import LearnedMetrics
from restain.metrics.learned.rows import LEARNED
from restain.metrics.learned.set_scores import SetFigure

_NO_INTERVAL = "a distance between two sets of images has no value for each image that could be resampled"


def look(learned: LearnedMetrics, matches: Sequence[Match], system: str, transferred: Path | None) -> Evidence:
    """What the networks see in one system, virtual stain or yardstick.

    Args:
        learned: the metrics that are wanted; it knows which can be computed here.
        matches: fields of view.
        system: its name.
        transferred: folder of the colour transfers, ``ID.png``, where that yardstick is judged.
    """
    if not learned.weights:
        return Evidence({}, {}, learned.missing)
    real = [match.files["real"] for match in matches]
    fake = [_file_of(match, system, transferred) for match in matches]
    missing = dict(learned.missing)
    figures: Mapping[str, SetFigure] = {}
    try:
        figures = learned.sets(real, fake)
    except NotComputed as reason:
        missing |= {
            metric.name: str(reason) for metric in LEARNED if not metric.columns and metric.name in learned.weights
        }
    whole = {name: _estimate(figure, len(matches)) for name, figure in figures.items()}
    return Evidence(learned.columns(real, fake), whole, missing)


def _file_of(match: Match, system: str, transferred: Path | None) -> Path:
    if system == UNCHANGED:
        return match.files["source"]
    if system == TRANSFER and transferred:
        return transferred / f"{match.id}.png"
    return match.files[role_of(system)]


def _estimate(figure: SetFigure, n: int) -> Estimate:
    return Estimate(
        figure.value, figure.std, None, n, no_interval=_NO_INTERVAL, note=figure.note, details=figure.details
    )
