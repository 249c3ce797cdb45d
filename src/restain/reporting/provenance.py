"""Where everything came from, in lines of a name and a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from restain.evaluation.schema import StainedBy
from restain.reporting.evaluation_files import EvaluationFiles
from restain.reporting.labels import command_text, number, short_path, without_paths
from restain.reporting.run_files import RunFiles


@dataclass(frozen=True)
class Fact:
    """One line of a definition list."""

    name: str
    value: str


def facts(run: RunFiles | None, evaluation: EvaluationFiles | None) -> list[Fact]:
    """The few lines under the title that say what was made of what."""
    lines = []
    if run:
        splits = run.data.get("splits")
        counts = ", ".join(f"{count} {name}" for name, count in splits.items()) if isinstance(splits, dict) else ""
        mpp = run.stainer.get("mpp")
        lines += [
            Fact("Images", counts),
            Fact("Pixel size", f"{mpp} µm" if mpp else ""),
            Fact("Steps", _steps(run)),
            Fact("Speed", _speed(run)),
            Fact("Trained", str(run.environment.get("started") or "").replace("T", " ")[:16]),
        ]
    if evaluation:
        lines += [
            Fact("Evaluated on", f"{evaluation.summary.n} images"),
            Fact("Resolution", evaluation.summary.resolution),
            Fact("Protocol", evaluation.summary.protocol),
        ]
    return [line for line in lines if line.value]


def _steps(run: RunFiles) -> str:
    steps = run.log.numbers("step") if run.log else np.array([])
    steps = steps[np.isfinite(steps)]
    return f"{steps[-1]:,.0f}" if len(steps) else ""


def _speed(run: RunFiles) -> str:
    values = run.log.numbers("images_per_second") if run.log else np.array([])
    values = values[np.isfinite(values)]
    return f"{number(float(np.median(values)))} images/s (median)" if len(values) else ""


def provenance(run: RunFiles | None, evaluation: EvaluationFiles | None) -> list[tuple[str, list[Fact]]]:
    """Where everything came from: (heading, lines) for the run and the evaluation."""
    groups = []
    if run:
        environment, git = run.environment, run.environment.get("git")
        groups.append(
            (
                "Training",
                _known(
                    {
                        "command": command_text(environment.get("command")),
                        "started": environment.get("started"),
                        "restain": environment.get("restain"),
                        "python": environment.get("python"),
                        "torch": environment.get("torch"),
                        "device": environment.get("device"),
                        "git": _git_text(git),
                        "data": short_path(run.data.get("root")),
                        "layout": run.data.get("layout"),
                        "data fingerprint": run.data.get("fingerprint"),
                        "weights SHA-256": run.stainer.get("weights_sha256"),
                        "run folder": short_path(run.folder.resolve()),
                    }
                ),
            )
        )
    if evaluation:
        summary = evaluation.summary
        lines: dict[str, Any] = {
            "command": summary.command,
            "made": summary.created,
            "restain": summary.restain,
            **summary.versions,
            "protocol": f"{summary.protocol}: {summary.protocol_definition}",
            "pixel size": f"{summary.mpp:g} µm ({summary.mpp_source})" if summary.mpp else summary.mpp_source,
            "marker": f"{summary.marker} ({summary.marker_source})" if summary.marker else summary.marker_source,
            "bootstrap seed": summary.seed,
            "groups": summary.groups.rule,
            **{f"stainer of {name}": _stainer(one) for name, one in summary.stainers.items()},
            **{f"{side} images": short_path(path) for side, path in summary.folders.items()},
            "image files SHA-256": summary.files_sha256,
            **{f"weights of {metric}": f"{file.name}, {file.sha256}" for metric, file in summary.weights.items()},
            "evaluation folder": short_path(evaluation.folder.resolve()),
        }
        groups.append(("Evaluation", _known(lines)))
    return groups


def _stainer(made: StainedBy) -> str:
    return f"{made.recipe}, {made.stain or 'stain not recorded'}, norm {made.norm}, weights {made.weights_sha256}"


def _git_text(git: Any) -> str:
    if not isinstance(git, dict) or not git.get("commit"):
        return ""
    return f"{git['commit']}{' with uncommitted changes' if git.get('dirty') else ''}"


def _known(lines: dict[str, Any]) -> list[Fact]:
    return [Fact(name, without_paths(str(value))) for name, value in lines.items() if value not in (None, "", [], {})]
