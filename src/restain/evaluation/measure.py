"""All images, one field of view at a time: the measures of every system, and what trained networks see in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from restain.colour import LabStatistics, transfer_colour
from restain.evaluation.baselines import NEEDS_SOURCE
from restain.evaluation.inputs import TRANSFER, UNCHANGED, Match, role_of
from restain.evaluation.kept_measures import KeptMeasures
from restain.evaluation.results import Column, Evidence
from restain.evaluation.workers import in_threads
from restain.files import sha256
from restain.images import read_rgb, write_png
from restain.metrics import Estimate, Metric, NotComputed, Protocol
from restain.metrics.measures import (
    Measure,
    MeasuredImage,
    MeasuredPair,
    SetScore,
    can_measure,
    counted_as_empty,
    measure_image,
    measure_pair,
)

if TYPE_CHECKING:
    from restain.metrics.learned.networks import LearnedMetrics

_NO_INTERVAL = "a distance between two sets of images has no value for each image that could be resampled"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured on every field of view."""

    systems: Sequence[str]
    metrics: Sequence[Metric]
    protocol: Protocol
    mpp: float | None  # microns per pixel, where known and of a scale at which cells can be seen
    source: bool  # whether there is H&E
    colours: LabStatistics | None  # of the reference; None: no colour transfer
    transferred: Path | None  # folder that keeps the colour transfers, for who needs them as files

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures of the metrics that can be taken, each once, in their order."""
        wanted = dict.fromkeys(measure for metric in self.metrics for measure in metric.measures)
        return tuple(one for one in wanted if can_measure(one, source=self.source, mpp=self.mpp is not None))

    def missing(self, no_mpp: str) -> dict[str, str]:
        """Why metrics cannot be measured for lack of the H&E or, with the reason given, of the pixel size."""
        reasons = {}
        for metric in self.metrics:
            if not all(can_measure(one, source=self.source, mpp=True) for one in metric.measures):
                reasons[metric.name] = NEEDS_SOURCE
            elif not all(can_measure(one, source=True, mpp=self.mpp is not None) for one in metric.measures):
                reasons[metric.name] = no_mpp
        return reasons


@dataclass(frozen=True)
class Measured:
    """The measures of all images, and what identifies their files."""

    tables: Mapping[str, Mapping[str, Column]]  # by system, then by column
    hashes: Mapping[tuple[str, str], str]  # role and id of an image to the SHA-256 of its file


def measure_all(matches: Sequence[Match], plan: Plan) -> Measured:
    """Measure every system on every field of view. At any time only as many images are held as there are workers."""
    kept = KeptMeasures(plan.measures, plan.protocol, plan.mpp)
    rows: list[Mapping[str, Mapping[str, float]]] = []
    hashes: dict[tuple[str, str], str] = {}
    for row, of_files in in_threads(lambda match: _measure(match, plan, kept), matches, "evaluating"):
        rows.append(row)
        hashes |= of_files
    tables = {
        system: {column: np.array([row[system][column] for row in rows]) for column in rows[0][system]}
        for system in rows[0]
    }
    return Measured(tables, hashes)


def _measure(
    match: Match, plan: Plan, kept: KeptMeasures
) -> tuple[dict[str, dict[str, float]], dict[tuple[str, str], str]]:
    hashes = {role: sha256(path) for role, path in match.files.items()}
    places = {name: kept.path(*contents) for name, contents in _contents(hashes, plan).items()}
    rows = {name: row for name, place in places.items() if (row := kept.read(place)) is not None}
    if len(rows) < len(places) or plan.transferred:
        for name, row in _measure_images(match, plan).items():
            if name not in rows:
                kept.write(places[name], row)
                rows[name] = row
    in_order = {name: rows[name] for name in places}
    return in_order, {(role, match.id): digest for role, digest in hashes.items()}


def _contents(hashes: Mapping[str, str], plan: Plan) -> dict[str, tuple[str, ...]]:
    """What decides the measures of each system on a field: the contents of its images."""
    real, source = hashes["real"], hashes.get("source", "no H&E")
    contents: dict[str, tuple[str, ...]] = {name: (real, hashes[role_of(name)], source) for name in plan.systems}
    if "source" in hashes:
        contents[UNCHANGED] = (real, source, source)
        if plan.colours is not None:
            contents[TRANSFER] = (real, f"colours {plan.colours!r}", source)
    return contents


def _measure_images(match: Match, plan: Plan) -> dict[str, dict[str, float]]:
    images = {role: MeasuredImage(read_rgb(path), plan.mpp) for role, path in match.files.items()}
    real, source = images["real"], images.get("source")
    systems = {name: images[role_of(name)] for name in plan.systems}
    if source is not None:
        systems[UNCHANGED] = source
        if plan.colours is not None:
            systems[TRANSFER] = MeasuredImage(transfer_colour(source.rgb, plan.colours), plan.mpp)
            if plan.transferred:
                write_png(plan.transferred / f"{match.id}.png", systems[TRANSFER].rgb)
    truth = {f"{name}_real": value for name, value in measure_image(real, plan.measures).items()}
    rows = {}
    for name, image in systems.items():
        pair = MeasuredPair(real=real, fake=image, source=source, protocol=plan.protocol)
        own = counted_as_empty(measure_image(image, plan.measures), truth, plan.measures)
        rows[name] = measure_pair(pair, plan.measures) | own | truth
    return rows


def ask_networks(learned: LearnedMetrics, matches: Sequence[Match], system: str, transferred: Path | None) -> Evidence:
    """What the networks see in one system, virtual stain or baseline.

    Args:
        learned: the metrics that are wanted; it knows which can be computed here.
        matches: fields of view.
        system: its name.
        transferred: folder of the colour transfers, ``ID.png``, where that baseline is evaluated.
    """
    if not learned.weights:
        return Evidence({}, {}, learned.missing)
    real = [match.files["real"] for match in matches]
    fake = [_file_of(match, system, transferred) for match in matches]
    missing, scores = dict(learned.missing), {}
    try:
        scores = learned.sets(real, fake)
    except NotComputed as reason:
        missing |= {name: str(reason) for name in learned.of_sets}
    whole = {name: _estimate(score, len(matches)) for name, score in scores.items()}
    return Evidence(learned.columns(real, fake), whole, missing)


def _file_of(match: Match, system: str, transferred: Path | None) -> Path:
    if system == UNCHANGED:
        return match.files["source"]
    if system == TRANSFER and transferred:
        return transferred / f"{match.id}.png"
    return match.files[role_of(system)]


def _estimate(score: SetScore, n: int) -> Estimate:
    return Estimate(score.value, score.std, None, n, no_interval=_NO_INTERVAL, note=score.note, details=score.details)
