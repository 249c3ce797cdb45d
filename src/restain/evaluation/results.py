"""What an evaluation found: systems with their scores, and the files that keep them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.errors import RestainError
from restain.evaluation.schema import PER_IMAGE, PER_IMAGE_BASELINES, SUMMARY, Score, Scores, Summary, to_json
from restain.files import write_json, write_text
from restain.metrics import Estimate, Metric, NotComputed, estimate
from restain.metrics.statistics.bootstrap import Groups
from restain.progress import ProgressBar

if TYPE_CHECKING:
    from pandas import DataFrame

_SHOWN = {"mean", "std", "n", "level", "family", "direction", "unit"}  # of a score in a table of pandas

Column: TypeAlias = npt.NDArray[np.floating]  # (n,), one entry per image


@dataclass(frozen=True)
class Evidence:
    """All that was measured on a system, before scores are made of it."""

    columns: Mapping[str, Column]  # (n,) by name
    scores: Mapping[str, Estimate]  # of the set as a whole, by metric name
    missing: Mapping[str, str]  # metric name to the reason that it could not be measured


@dataclass(frozen=True)
class System:
    """One way to make an IHC image from H&E, with its scores: a virtual stain or a baseline."""

    name: str
    columns: Mapping[str, Column]  # (n,) per measure, in the order of Evaluation.ids; NaN where undefined
    estimates: Mapping[str, Estimate]  # by metric name
    not_computed: Mapping[str, str]  # metric name (or "NAME ci95") to reason


@dataclass(frozen=True)
class Evaluation:
    """The outcome of ``evaluate``; ``summary`` is what ``summary.json`` holds."""

    out: Path
    ids: tuple[str, ...]
    metrics: tuple[Metric, ...]  # that were asked for
    systems: tuple[System, ...]  # virtual stains, in the order given
    baselines: tuple[System, ...]
    ceiling: tuple[System, ...]  # the second section of the truth, where there is one
    summary: Summary

    def to_frame(self, *, images: bool = False) -> DataFrame:
        """The scores as a table of pandas: a row for each system and metric.

        Args:
            images: a row for each system and image instead, with a column for each measure.

        Raises:
            RestainError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise RestainError("pandas is not installed, and a table of it was asked for; pip install pandas") from None
        every = (*self.systems, *self.baselines)
        if images:
            return pandas.concat(
                [pandas.DataFrame({"id": self.ids, "system": one.name, **one.columns}) for one in every],
                ignore_index=True,
            )
        rows = [
            {"system": name, "metric": metric, **score.model_dump(include=_SHOWN)}
            | dict(zip(("low", "high"), score.ci95 or (None, None), strict=True))
            for name, scores in (self.summary.systems | self.summary.baselines).items()
            for metric, score in scores.items()
        ]
        return pandas.DataFrame(rows)

    @property
    def virtual(self) -> System:
        """The first, and mostly the only, virtual stain."""
        return self.systems[0]


def combine(*parts: Evidence) -> Evidence:
    """All that several ways of measuring found on one system."""
    columns: dict[str, Column] = {}
    scores: dict[str, Estimate] = {}
    missing: dict[str, str] = {}
    for part in parts:
        columns |= part.columns
        scores |= part.scores
        missing |= part.missing
    return Evidence(columns, scores, missing)


def score_all(
    evidence: Mapping[str, Evidence], metrics: Sequence[Metric], seed: int, groups: Groups | None
) -> list[System]:
    """Compute the scores of every system from the evidence on it."""
    with ProgressBar("scores and intervals", total=len(evidence) * len(metrics), unit="scores") as bar:
        return [score_system(name, found, metrics, seed, groups, bar.advance) for name, found in evidence.items()]


def score_system(
    name: str,
    evidence: Evidence,
    metrics: Sequence[Metric],
    seed: int,
    groups: Groups | None,
    done: Callable[[], None] = lambda: None,
) -> System:
    """Compute the score of every metric from the evidence on a system, or say why it has no value.

    ``done`` is called after each metric.
    """
    estimates, reasons = {}, {}
    for metric in metrics:
        done()
        try:
            found = _estimate(metric, evidence, seed, groups)
        except NotComputed as reason:
            reasons[metric.name] = str(reason)
            continue
        estimates[metric.name] = found
        if found.no_interval:
            reasons[f"{metric.name} ci95"] = found.no_interval
    return System(name, evidence.columns, estimates, reasons)


def _estimate(metric: Metric, evidence: Evidence, seed: int, groups: Groups | None) -> Estimate:
    if metric.name in evidence.scores:
        return evidence.scores[metric.name]
    if metric.name in evidence.missing:
        raise NotComputed(evidence.missing[metric.name])
    return estimate(metric, evidence.columns, seed, groups)


def scores_of(system: System, metrics: Sequence[Metric], protocol: str) -> Scores:
    """A system's scores as they stand in the summary."""
    return {
        metric.name: Score(
            mean=found.value,
            std=found.std,
            ci95=found.ci95,
            n=found.n,
            level=metric.level,
            family=metric.family,
            protocol=protocol,
            direction=metric.direction,
            unit=metric.unit,
            definition=metric.definition,
            source=metric.source,
            note=found.note,
            details=dict(found.details),
        )
        for metric in metrics
        if (found := system.estimates.get(metric.name)) is not None
    }


def reasons_of(systems: Sequence[System], baselines: Sequence[System]) -> dict[str, str]:
    """Why scores are missing: NAME where it is so for all virtual stains alike, else "SYSTEM: NAME".

    A baseline's reason is left out where it is that of the virtual stains.
    """
    reasons: dict[str, str] = {}
    for system in systems:
        for name, reason in system.not_computed.items():
            shared = all(other.not_computed.get(name) == reason for other in systems)
            reasons[name if shared else f"{system.name}: {name}"] = reason
    for system in baselines:
        own = {name: reason for name, reason in system.not_computed.items() if reasons.get(name) != reason}
        reasons |= {f"{system.name}: {name}": reason for name, reason in own.items()}
    return reasons


def write_evaluation(evaluation: Evaluation) -> None:
    """Write the CSV files and, last, ``summary.json`` to ``evaluation.out``, each whole or not at all."""
    out = evaluation.out
    write_text(out / PER_IMAGE, _csv(evaluation.ids, evaluation.systems))
    beside = (*evaluation.baselines, *evaluation.ceiling)
    if beside:
        write_text(out / PER_IMAGE_BASELINES, _csv(evaluation.ids, beside))
    else:  # of an earlier run with H&E; it would contradict this summary
        (out / PER_IMAGE_BASELINES).unlink(missing_ok=True)
    write_json(out / SUMMARY, to_json(evaluation.summary))


def _csv(ids: Sequence[str], systems: Sequence[System]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "system", *systems[0].columns])
    for system in systems:
        for index, name in enumerate(ids):
            cells = (_cell(float(column[index])) for column in system.columns.values())
            writer.writerow([name, system.name, *cells])
    return text.getvalue()


def _cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.8g}"
