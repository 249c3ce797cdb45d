"""All images, one field of view at a time: the table of measures of every system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.colour import LabStatistics, transfer_colour
from restain.evaluation.inputs import Match
from restain.evaluation.results import Column
from restain.evaluation.systems import TRANSFER, UNCHANGED, role_of
from restain.evaluation.workers import in_threads
from restain.files import sha256
from restain.images import read_rgb, write_png
from restain.metrics.measurement import Measurement, measure_image, measure_pair


@dataclass(frozen=True)
class Plan:
    """What is measured on every field of view."""

    systems: Sequence[str]
    measurement: Measurement
    colours: LabStatistics | None  # of the reference; None: no colour transfer
    transferred: Path | None  # folder that keeps the colour transfers, for who needs them as files


@dataclass(frozen=True)
class Measured:
    """The measures of all images, and one line per file: role, name, content."""

    tables: Mapping[str, Mapping[str, Column]]  # by system, then by column
    hashes: Sequence[str]


def measure_all(matches: Sequence[Match], plan: Plan) -> Measured:
    """Measure every system on every field of view. At any time only as many images are held as there are workers."""
    rows: list[Mapping[str, Mapping[str, float]]] = []
    hashes: list[str] = []
    for row, lines in in_threads(lambda match: _measure(match, plan), matches, "evaluating"):
        rows.append(row)
        hashes += lines
    tables = {
        system: {column: np.array([row[system][column] for row in rows]) for column in rows[0][system]}
        for system in rows[0]
    }
    return Measured(tables, hashes)


def _measure(match: Match, plan: Plan) -> tuple[dict[str, dict[str, float]], list[str]]:
    images = {role: read_rgb(path) for role, path in match.files.items()}
    real, source = images["real"], images.get("source")
    systems = {name: images[role_of(name)] for name in plan.systems}
    if source is not None:
        systems[UNCHANGED] = source
        if plan.colours is not None:
            systems[TRANSFER] = transfer_colour(source, plan.colours)
            if plan.transferred:
                write_png(plan.transferred / f"{match.id}.png", systems[TRANSFER])
    measurement = plan.measurement
    truth = {f"{name}_real": value for name, value in measure_image(real, measurement).items()}
    rows = {
        name: measure_pair(real, image, measurement, source) | measure_image(image, measurement) | truth
        for name, image in systems.items()
    }
    return rows, [f"{role} {match.id} {sha256(path)}" for role, path in match.files.items()]
