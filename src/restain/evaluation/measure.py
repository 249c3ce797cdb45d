"""All images, one field of view at a time: the measures of every system, and what trained networks see in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from restain.colour import LabStatistics, transfer_colour
from restain.evaluation.baselines import NEEDS_SOURCE
from restain.evaluation.inputs import CEILING, MASK, TRANSFER, UNCHANGED, Match, role_of
from restain.evaluation.kept_measures import KeptMeasures
from restain.evaluation.results import Column, Evidence
from restain.evaluation.workers import in_threads
from restain.files import sha256
from restain.images import RGB, read_rgb, write_png
from restain.label_images import read_mask
from restain.metrics import Estimate, Metric, NotComputed, Protocol
from restain.metrics.measures import (
    GivenMeasure,
    Marker,
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

_NEEDS = {
    "nuclei": "needs label images of nuclei; give their folder as nuclei",
    "features": "needs feature vectors of the images; give their file as features",
}
_NO_INTERVAL = "a distance between two sets of images has no value for each image that could be resampled"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is measured on every field of view."""

    systems: Sequence[str]
    metrics: Sequence[Metric]
    protocol: Protocol
    mpp: float | None  # microns per pixel, where known and of a scale at which cells can be seen
    marker: Marker | None  # where the DAB lies
    stain: str | None
    source: bool  # whether there is H&E
    repeat: bool  # whether there is a second section of the truth
    given: frozenset[str]  # of "nuclei" and "features", what the user gave
    colours: LabStatistics | None  # of the reference; None: no colour transfer
    transferred: Path | None  # folder that keeps the colour transfers, for who needs them as files

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures of the metrics that can be taken, each once, in their order."""
        wanted = dict.fromkeys(measure for metric in self.metrics for measure in metric.measures)
        return tuple(one for one in wanted if can_measure(one, source=self.source, mpp=self.mpp is not None))

    @property
    def names(self) -> tuple[str, ...]:
        """Everything that is scored: the virtual stains, the baselines, and the second section of the truth."""
        baselines = [UNCHANGED] * self.source + [TRANSFER] * (self.source and self.colours is not None)
        return (*self.systems, *baselines, *[CEILING] * self.repeat)

    def missing(self, no_mpp: str) -> dict[str, str]:
        """Why metrics have no value here: what they need is not there, or they mean nothing for this marker."""
        reasons = {}
        for metric in self.metrics:
            lacking = {one.option for one in metric.measures if isinstance(one, GivenMeasure)} - self.given
            if not all(can_measure(one, source=self.source, mpp=True) for one in metric.measures):
                reasons[metric.name] = NEEDS_SOURCE
            elif not all(can_measure(one, source=True, mpp=self.mpp is not None) for one in metric.measures):
                reasons[metric.name] = no_mpp
            elif lacking:
                reasons[metric.name] = _NEEDS[min(lacking)]
            elif metric.markers and (self.marker or "nuclear") not in metric.markers:
                reasons[metric.name] = f"is for {' and '.join(metric.markers)} markers"
            elif metric.stains and self.stain is not None and self.stain not in metric.stains:
                reasons[metric.name] = f"is for {' and '.join(metric.stains).upper()}"
        return reasons

    def image(self, match: Match, name: str) -> RGB:
        """The image of a virtual stain, of a baseline or of the second section on a field of view."""
        if name != TRANSFER:
            return read_rgb(match.files[role_of(name)])
        assert self.colours is not None
        return transfer_colour(read_rgb(match.files["source"]), self.colours)


@dataclass(frozen=True)
class Measured:
    """The measures of all images, and what identifies their files."""

    tables: Mapping[str, Mapping[str, Column]]  # by system, then by column
    hashes: Mapping[tuple[str, str], str]  # role and id of an image to the SHA-256 of its file


def measure_all(matches: Sequence[Match], plan: Plan) -> Measured:
    """Measure every system on every field of view. At any time only as many images are held as there are workers."""
    kept = KeptMeasures(plan.measures, plan.protocol, plan.mpp, plan.marker)
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
    others = hashes.get("source", "no H&E"), hashes.get(MASK, "no mask")
    made = {TRANSFER: f"colours {plan.colours!r}"}
    return {name: (hashes["real"], made.get(name) or hashes[role_of(name)], *others) for name in plan.names}


def _measure_images(match: Match, plan: Plan) -> dict[str, dict[str, float]]:
    inside = read_mask(match.files[MASK], match.size) if MASK in match.files else None

    def measured(rgb: RGB) -> MeasuredImage:
        return MeasuredImage(rgb, plan.mpp, plan.marker, inside)

    real = measured(read_rgb(match.files["real"]))
    source = measured(read_rgb(match.files["source"])) if plan.source else None
    truth = {f"{name}_real": value for name, value in measure_image(real, plan.measures).items()}
    rows = {}
    for name in plan.names:  # one after the other: what was computed from an image is let go with it
        if name == UNCHANGED and source is not None:
            image = source
        elif name == TRANSFER and source is not None and plan.colours is not None:
            image = measured(transfer_colour(source.rgb, plan.colours))
            if plan.transferred:
                write_png(plan.transferred / f"{match.id}.png", image.rgb)
        else:
            image = measured(read_rgb(match.files[role_of(name)]))
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
    whole = {name: as_estimate(score, len(matches)) for name, score in scores.items()}
    return Evidence(learned.columns(real, fake), whole, missing)


def _file_of(match: Match, system: str, transferred: Path | None) -> Path:
    if system == TRANSFER and transferred:
        return transferred / f"{match.id}.png"
    return match.files[role_of(system)]


def as_estimate(score: SetScore, n: int) -> Estimate:
    """The score of two sets of ``n`` images, as it stands beside the others."""
    return Estimate(score.value, score.std, None, n, no_interval=_NO_INTERVAL, note=score.note, details=score.details)
