"""Folders of real and virtual stains in, one tidy set of figures out, beside two yardsticks that learn nothing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from restain.errors import RestainError
from restain.evaluation.baselines import missing_yardsticks, read_reference
from restain.evaluation.catalogue import explain, select_metrics
from restain.evaluation.comparison import FAMILY, compare_systems, rank_all
from restain.evaluation.grouping import Grouping, group_images
from restain.evaluation.inputs import Match, format_size, match_images
from restain.evaluation.literature import place_beside, published
from restain.evaluation.measure import Plan, measure_all
from restain.evaluation.networks import look
from restain.evaluation.options import EvaluationOptions
from restain.evaluation.output import write_evaluation
from restain.evaluation.results import Evaluation, System, figures_of, judge, reasons_of
from restain.evaluation.systems import name_systems, parse_systems, role_of
from restain.evaluation.versions import versions
from restain.metrics import Metric, NotComputed, Protocol, find_protocol
from restain.metrics.cells.nuclei import MPP_RANGE
from restain.metrics.learned.measurement import LearnedMetrics
from restain.metrics.measurement import Measurement

__all__ = ["Evaluation", "EvaluationOptions", "System", "evaluate", "explain", "parse_systems"]


def evaluate(
    real: str | Path,
    fake: str | Path | Mapping[str, str | Path],
    out: str | Path,
    source: str | Path | None = None,
    reference: str | Path | None = None,
    protocol: str = "clean",
    seed: int = 0,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """Judge virtual stains against real ones, image by image and over the set, and against each other.

    Images are matched strictly by relative path without suffix. Written to ``out``, each file whole or not at all:
    ``per_image.csv``, ``per_image_yardsticks.csv`` (with ``source``) and ``summary.json``; docs/evaluation.md
    describes them.

    Args:
        real: folder of real IHC images, 8-bit RGB.
        fake: folder of virtual IHC images, or several by the name of the system that made them.
        out: folder for the results; made where it does not exist.
        source: folder of the H&E images; needed for R_content and for the yardsticks.
        reference: folder of IHC images that are not judged, such as the training IHC, whose colours the
            colour-transfer yardstick takes.
        protocol: "clean", "asp2023", "bci2022" or "skimage018"; see ``restain.metrics.PROTOCOLS``.
        seed: of the bootstrap intervals and of the random sign patterns of the tests.
        options: which metrics, which images belong together, what of the literature stands beside.

    Raises:
        RestainError: a folder, a file, a missing partner, a size, the protocol or an option is wrong.
    """
    out, options = Path(out), options or EvaluationOptions()
    source, reference = (Path(folder) if folder else None for folder in (source, reference))
    systems, chosen, metrics = name_systems(fake), find_protocol(protocol), select_metrics(options.metrics)
    literature = published(options.compare_with) if options.compare_with else []
    _refuse_bad_arguments(out, seed, options, metrics)
    folders: dict[str, Path | None] = {"real": Path(real)}
    folders |= {role_of(name): folder for name, folder in systems.items()} | {"source": source}
    matches = match_images({role: folder for role, folder in folders.items() if folder}, chosen.window.size)
    grouping = group_images([match.id for match in matches], options.groups)
    colours = read_reference(reference) if source and reference else None

    learned = LearnedMetrics(chosen, {one.name for one in metrics}, seed, options.batch, options.device)
    columns = frozenset(column for metric in metrics for column in metric.columns)
    measurement = Measurement(chosen, columns, options.mpp)
    with TemporaryDirectory() as folder:  # networks read files, and the colour transfer has none of its own
        transferred = Path(folder) if colours and learned.weights else None
        plan = Plan(tuple(systems), measurement, colours.colours if colours else None, transferred)
        measured = measure_all(matches, plan)
        seen = {name: look(learned, matches, name, transferred) for name in measured.tables}
    judged = [
        judge(name, replace(seen[name], columns={**table, **seen[name].columns}), metrics, seed, grouping.numbers)
        for name, table in measured.tables.items()
    ]
    virtual, yardsticks = judged[: len(systems)], judged[len(systems) :]
    hashes = [*measured.hashes, *(colours.hashes if colours else ())]
    summary = {
        **versions(),
        **_circumstances(chosen, seed, matches, grouping),
        "mpp": options.mpp,
        "files_sha256": hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest(),
        "folders": {
            role: str(folder.resolve()) if folder else None
            for role, folder in {**folders, "reference": reference}.items()
        },
        "weights": learned.weights,
        **_findings(metrics, virtual, yardsticks, seed, grouping, chosen),
    }
    summary["not_computed"] |= missing_yardsticks(source, reference)
    if literature:
        summary["literature"] = place_beside(literature, chosen.name)
    evaluation = Evaluation(
        out, tuple(match.id for match in matches), metrics, tuple(virtual), tuple(yardsticks), summary
    )
    write_evaluation(evaluation)
    return evaluation


def _refuse_bad_arguments(out: Path, seed: int, options: EvaluationOptions, metrics: Sequence[Metric]) -> None:
    if seed < 0:
        raise RestainError(f"seed: is {seed}; expected 0 or more")
    if not 0 < options.mpp < math.inf:
        raise RestainError(f"mpp: is {options.mpp}; expected microns per pixel above 0")
    low, high = MPP_RANGE
    if not low <= options.mpp <= high and any(metric.family == "cells" for metric in metrics):
        raise RestainError(
            f"mpp: is {options.mpp:g}; cells can be counted at {low:g} to {high:g} µm per pixel; "
            "choose metrics without the family cells for these images"
        )
    if options.batch < 1:
        raise RestainError(f"batch: is {options.batch}; expected at least 1")
    nearest = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise RestainError(f"{nearest}: is a file; expected a folder for the results")


def _circumstances(protocol: Protocol, seed: int, matches: Sequence[Match], grouping: Grouping) -> dict[str, Any]:
    sizes = sorted({match.size for match in matches}, key=lambda size: (size[0] * size[1], size))
    first, last = format_size(sizes[0]), format_size(sizes[-1])
    return {
        "protocol": protocol.name,
        "protocol_definition": protocol.definition,
        "seed": seed,
        "n": len(matches),
        "resolution": first if len(sizes) == 1 else f"mixed ({first} to {last})",
        "groups": {"rule": grouping.rule, "count": grouping.count},
    }


def _findings(
    metrics: Sequence[Metric],
    systems: Sequence[System],
    yardsticks: Sequence[System],
    seed: int,
    grouping: Grouping,
    protocol: Protocol,
) -> dict[str, Any]:
    """The part of the summary that comes from the figures."""
    of_systems = {system.name: figures_of(system, metrics, protocol.name) for system in systems}
    reasons = reasons_of(systems, yardsticks)
    ranking = None
    try:
        ranking = rank_all(metrics, [*systems, *yardsticks])
    except NotComputed as reason:
        reasons["ranking"] = str(reason)
    return {
        "metrics": of_systems[systems[0].name],
        "systems": of_systems,
        "yardsticks": {system.name: figures_of(system, metrics, protocol.name) for system in yardsticks},
        "comparisons": compare_systems(metrics, systems, yardsticks, seed, grouping.numbers),
        "comparisons_family": FAMILY,
        "ranking": ranking,
        "not_computed": reasons,
    }
