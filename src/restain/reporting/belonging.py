"""Whether a run and an evaluation belong together: by the hash of the run's stainer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from restain.reporting.evaluation_files import EvaluationFiles
from restain.reporting.run_files import RunFiles

_SHOWN = 12  # characters of a hash


@dataclass(frozen=True)
class Belonging:
    """What the records show; ``sentence`` says why it is not "yes"."""

    state: Literal["yes", "no", "unknown"]
    sentence: str = ""


def belonging(run: RunFiles, evaluation: EvaluationFiles) -> Belonging:
    """Look for the run's stainer among those that made the evaluated images."""
    summary = evaluation.summary
    if any(one.weights_sha256 in run.stainer_hashes for one in summary.stainers.values()):
        return Belonging("yes")
    if len(summary.stainers) < len(summary.systems) or not summary.systems:
        return Belonging(
            "unknown",
            "It is not recorded which stainer made the evaluated images, so nothing shows that they are of this run.",
        )
    own = f"the stainer {_listed(run.stainer_hashes)}" if run.stainer_hashes else "no stainer yet"
    others = _listed(dict.fromkeys(one.weights_sha256 for one in summary.stainers.values()))
    return Belonging(
        "no",
        f"The run {run.folder.name} and the evaluation do not belong together: the run holds {own}, the evaluated "
        f"images were made by {others}.",
    )


def _listed(hashes: Iterable[str]) -> str:
    return " and ".join(f"{one[:_SHOWN]}..." for one in hashes)
