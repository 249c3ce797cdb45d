"""From the results of an evaluation to its summary: circumstances, scores, comparisons and ranks."""

from __future__ import annotations

import hashlib
import json
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path

from restain.evaluation.baselines import missing_baselines
from restain.evaluation.comparison import FAMILY, compare_systems, rank_all
from restain.evaluation.datasets import DataSet, Known, KnownMarker
from restain.evaluation.grouping import Grouping
from restain.evaluation.inputs import Match, format_size
from restain.evaluation.literature import PublishedScore, Setting, place_beside
from restain.evaluation.results import System, reasons_of, scores_of
from restain.evaluation.schema import FORMAT, Groups, Summary, Weights
from restain.evaluation.stainers import Stainers
from restain.evaluation.verdict import identical_systems, verdict_on, warn_of_inputs
from restain.metrics import Metric, NotComputed, Protocol

_LIBRARIES = ("numpy", "scipy", "scikit-image", "pillow", "torch", "torchmetrics")


@dataclass(frozen=True, kw_only=True)
class Circumstances:
    """What was evaluated, and under which choices."""

    protocol: Protocol
    seed: int
    data: DataSet
    mpp: Known
    marker: KnownMarker
    test: str | None
    matches: Sequence[Match]
    stainers: Stainers
    grouping: Grouping
    folders: Mapping[str, Path | None]
    hashes: Mapping[tuple[str, str], str]  # role and id of an image to the SHA-256 of its file
    reference: Mapping[str, str]  # relative path of a reference image to the SHA-256 of its file
    given: Mapping[str, str]  # name of a file of nuclei or features to its SHA-256
    weights: Mapping[str, Mapping[str, str]]  # by learned metric
    literature: Sequence[PublishedScore]


def summarize(
    of: Circumstances,
    metrics: Sequence[Metric],
    systems: Sequence[System],
    baselines: Sequence[System],
    ceiling: Sequence[System] = (),
) -> Summary:
    """Everything that stands in ``summary.json``."""
    reasons = reasons_of(systems, [*baselines, *ceiling]) | missing_baselines(
        of.folders["source"], of.folders["reference"]
    )
    ranking, identical = None, identical_systems(systems, of.hashes)
    try:
        ranking = rank_all(metrics, [*systems, *baselines], of.marker.value, of.marker.stain)
    except NotComputed as reason:
        reasons["ranking"] = str(reason)
    return Summary(
        format=FORMAT,
        command=shlex.join(sys.argv),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        restain=_version("restain"),
        versions={"python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}},
        protocol=of.protocol.name,
        protocol_definition=of.protocol.definition,
        protocol_settings=json.loads(json.dumps(asdict(of.protocol))),
        seed=of.seed,
        n=len(of.matches),
        resolution=_resolution(of.matches),
        groups=Groups(rule=of.grouping.rule, count=of.grouping.count),
        mpp=of.mpp.value,
        mpp_source=of.mpp.source,
        marker=of.marker.value,
        marker_source=of.marker.source,
        stain=of.marker.stain,
        data_set=of.data.name,
        split=of.data.split,
        files_sha256=_fingerprint(of),
        folders={role: str(folder.resolve()) if folder else None for role, folder in of.folders.items()},
        weights={name: Weights(**files) for name, files in of.weights.items()},
        systems={system.name: scores_of(system, metrics, of.protocol.name) for system in systems},
        stainers=dict(of.stainers.known),
        baselines={system.name: scores_of(system, metrics, of.protocol.name) for system in baselines},
        ceiling={system.name: scores_of(system, metrics, of.protocol.name) for system in ceiling},
        comparisons=compare_systems(
            metrics, systems, baselines, seed=of.seed, groups=of.grouping.numbers, test=of.test
        ),
        comparisons_family=FAMILY,
        ranking=ranking,
        literature=place_beside(of.literature, _setting(of)) if of.literature else None,
        verdict={
            system.name: verdict_on(
                system, baselines, metrics, ranking, identical=identical.get(system.name) == len(of.matches)
            )
            for system in systems
        },
        warnings=[
            *warn_of_inputs([*systems, *ceiling], of.hashes, of.reference, of.mpp.value, of.mpp.source),
            *of.stainers.warnings,
        ],
        not_computed=reasons,
    )


def _fingerprint(of: Circumstances) -> str:
    """SHA-256 over what was read, wherever it lay: role, name and content of every file."""
    lines = [f"{role} {name} {digest}" for (role, name), digest in of.hashes.items()]
    lines += [f"reference {name} {digest}" for name, digest in of.reference.items()]
    lines += [f"given {name} {digest}" for name, digest in of.given.items()]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "not installed"


def _setting(of: Circumstances) -> Setting:
    return Setting(
        protocol=of.protocol,
        data_set=of.data.name,
        split=of.data.split,
        n=len(of.matches),
        size=_resolution(of.matches),
    )


def _resolution(matches: Sequence[Match]) -> str:
    sizes = sorted({match.size for match in matches}, key=lambda size: (size[0] * size[1], size))
    first, last = format_size(sizes[0]), format_size(sizes[-1])
    return first if len(sizes) == 1 else f"mixed ({first} to {last})"
