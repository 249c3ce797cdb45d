"""Folders of real and virtual stains in, one tidy set of scores out, beside two baselines that learn nothing."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory

from restain.errors import RestainError
from restain.evaluation.baselines import read_reference
from restain.evaluation.datasets import find_marker, find_mpp, recognise, second_section
from restain.evaluation.grouping import group_images
from restain.evaluation.inputs import CEILING, MASK, Match, crop_all, match_images, name_systems, parse_systems, role_of
from restain.evaluation.literature import published
from restain.evaluation.measure import Plan, ask_networks, measure_all
from restain.evaluation.options import EvaluationOptions
from restain.evaluation.overlays import OVERLAYS, discard_overlays, publish_overlays, write_overlays
from restain.evaluation.own_models import Given, from_features, under_nuclei
from restain.evaluation.results import Evaluation, Evidence, System, combine, score_all, write_evaluation
from restain.evaluation.schema import SUMMARY
from restain.evaluation.stainers import read_stainers
from restain.evaluation.summary import Circumstances, summarize
from restain.files import read_json, require_folder_or_none
from restain.metrics import Metric, explain, find_protocol, select_metrics
from restain.metrics.cells.nuclei import MPP_RANGE
from restain.metrics.statistics.bootstrap import Groups

__all__ = ["Evaluation", "EvaluationOptions", "System", "evaluate", "explain", "parse_systems"]


def evaluate(
    real: str | Path,
    fake: str | Path | Mapping[str, str | Path],
    *,
    out: str | Path,
    source: str | Path | None = None,
    reference: str | Path | None = None,
    protocol: str = "clean",
    seed: int = 0,
    options: EvaluationOptions | None = None,
) -> Evaluation:
    """Compare virtual stains with real ones, image by image and over the set, and with each other.

    Images are matched strictly by relative path without suffix. Written to ``out``, each file whole or not at all:
    ``per_image.csv``, ``per_image_baselines.csv`` (with ``source``) and ``summary.json``; docs/evaluation.md
    describes them.

    Args:
        real: folder of real IHC images, 8-bit RGB.
        fake: folder of virtual IHC images, or several by the name of the system that made them.
        out: folder for the results; made where it does not exist.
        source: folder of the H&E images; needed for R_content and for the baselines.
        reference: folder of IHC images that are not evaluated, such as the training IHC, whose colours the
            colour-transfer baseline takes.
        protocol: "clean", "asp2023", "bci2022", "unistainnet2026", "cssp2p" or "skimage018"; see
            ``restain.metrics.PROTOCOLS``.
        seed: of the bootstrap intervals and of the random sign patterns of the tests.
        options: which metrics, which images belong together, what of the literature stands beside.

    Raises:
        RestainError: a folder, a file, a missing partner, a size, the protocol or an option is wrong.
    """
    from restain.metrics.learned.networks import LearnedMetrics  # here, so that readers of results need no torch

    out, options = Path(out), options or EvaluationOptions()
    source, reference = (Path(folder) if folder else None for folder in (source, reference))
    systems, chosen, metrics = name_systems(fake), find_protocol(protocol), select_metrics(options.metrics)
    literature = published(options.compare_with) if options.compare_with else []
    _refuse_bad_arguments(out, seed, options, metrics, systems)
    folders: dict[str, Path | None] = {"real": Path(real)}
    folders |= {role_of(name): folder for name, folder in systems.items()} | {"source": source}
    repeat = options.repeat or second_section(Path(real))
    folders |= {role: Path(folder) for role, folder in (("repeat", repeat), (MASK, options.mask)) if folder}
    matches = match_images({role: folder for role, folder in folders.items() if folder}, chosen.ssim.size)
    ids = tuple(match.id for match in matches)
    grouping, data = group_images(ids, options.groups), recognise(ids, Path(real))
    stainer = Path(options.stainer) if options.stainer else None
    stainers = read_stainers(systems, matches)
    mpp = find_mpp(options.mpp, data, stainer, stainers.mpp)
    marker = find_marker(options.marker, data, stainer, stainers.stain)
    if options.overlays and mpp.value is None:
        raise RestainError(f"overlays: the pixel size is {mpp.source}; expected one at which cells can be counted")
    colours = read_reference(reference) if source and reference else None

    learned = LearnedMetrics(chosen, metrics, seed=seed, batch=options.batch, device=options.device)
    with TemporaryDirectory() as folder:  # networks read files; crops and the colour transfer have none of their own
        if chosen.crop:
            matches = crop_all(matches, chosen.crop, seed, Path(folder) / "crops")
        transferred = Path(folder) / "transferred" if colours and learned.weights else None
        plan = Plan(
            systems=tuple(systems),
            metrics=metrics,
            protocol=chosen,
            mpp=mpp.value if mpp.value and MPP_RANGE[0] <= mpp.value <= MPP_RANGE[1] else None,
            marker=marker.value,
            stain=marker.stain,
            source=source is not None,
            repeat=repeat is not None,
            given=frozenset(name for name in ("nuclei", "features") if getattr(options, name)),
            colours=colours.colours if colours else None,
            transferred=transferred,
        )
        own = _ask_own_models(options, matches, plan, grouping.numbers)  # first: what was given may be wrong
        measured = measure_all(matches, plan)
        seen = {name: ask_networks(learned, matches, name, transferred) for name in plan.names}
        discard_overlays(out)
        if options.overlays:
            write_overlays(out, matches, plan)
    missing = plan.missing(f"the pixel size is {mpp.source if mpp.value is None else f'{mpp.value:g} µm, too coarse'}")
    evidence = {
        name: combine(
            Evidence(measured.tables[name], {}, missing), seen[name], *(given.evidence[name] for given in own)
        )
        for name in plan.names
    }
    scored = score_all(evidence, metrics, seed, grouping.numbers)
    virtual = scored[: len(systems)]
    baselines = [system for system in scored[len(systems) :] if system.name != CEILING]
    ceiling = [system for system in scored if system.name == CEILING]
    circumstances = Circumstances(
        protocol=chosen,
        seed=seed,
        data=data,
        mpp=mpp,
        marker=marker,
        test=options.test,
        matches=matches,
        stainers=stainers,
        grouping=grouping,
        folders={**folders, "reference": reference},
        hashes=measured.hashes,
        reference=colours.hashes if colours else {},
        given={name: digest for one in own for name, digest in one.hashes.items()},
        weights=learned.weights,
        literature=literature,
    )
    summary = summarize(circumstances, metrics, virtual, baselines, ceiling)
    evaluation = Evaluation(out, ids, metrics, tuple(virtual), tuple(baselines), tuple(ceiling), summary)
    publish_overlays(out)
    write_evaluation(evaluation)
    return evaluation


def _ask_own_models(
    options: EvaluationOptions, matches: Sequence[Match], plan: Plan, groups: Groups | None
) -> list[Given]:
    """What the user's own models say: of the nuclei, and of the features, that were given."""
    found = []
    if options.nuclei:
        found.append(under_nuclei(Path(options.nuclei), matches, plan))
    if options.features:
        found.append(from_features(Path(options.features), matches, plan, groups))
    return found


def _refuse_bad_scale(mpp: float, metrics: Sequence[Metric]) -> None:
    low, high = MPP_RANGE
    if not isinstance(mpp, Real) or not 0 < mpp < math.inf:
        raise RestainError(f"mpp: is {mpp!r}; expected microns per pixel above 0")
    if not low <= mpp <= high and any(metric.family == "cells" for metric in metrics):
        raise RestainError(
            f"mpp: is {mpp:g}; cells can be counted at {low:g} to {high:g} µm per pixel; "
            "choose metrics without the family cells for these images"
        )


def _refuse_bad_arguments(
    out: Path, seed: int, options: EvaluationOptions, metrics: Sequence[Metric], systems: Collection[str]
) -> None:
    if not isinstance(seed, Integral) or seed < 0:
        raise RestainError(f"seed: is {seed!r}; expected a whole number, 0 or more")
    if options.mpp is not None:
        _refuse_bad_scale(options.mpp, metrics)
    if options.test is not None and options.test not in systems:
        raise RestainError(f"test: {options.test!r} is not among the systems; expected one of {', '.join(systems)}")
    if options.batch < 1:
        raise RestainError(f"batch: is {options.batch}; expected at least 1")
    require_folder_or_none(out / OVERLAYS if options.overlays else out)
    summary = out / SUMMARY
    if summary.exists() and not _is_own(summary):
        raise RestainError(f"{summary}: was not written by restain evaluate; move it, or name another folder")


def _is_own(summary: Path) -> bool:
    try:
        return "format" in read_json(summary)
    except RestainError:
        return False
