"""``restain push`` and ``restain pull``: stainers to and from the Hugging Face Hub."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from restain.errors import RestainError
from restain.evaluation.schema import SUMMARY, Scores, Summary, read_summary
from restain.files import write_text
from restain.hub import check_repository, hub_reference, upload
from restain.model_card import model_card
from restain.stainer import Stainer
from restain.stainer_config import read_config
from restain.stainer_files import CARD, CONFIG, STATISTICS, WEIGHTS, copy_stainer, load_stainer, stainer_folder

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]{1,59}")
_DATA_SET = re.compile(r"[A-Za-z0-9][\w./-]{0,95}")


def push(
    stainer: str | Path,
    repository: str,
    *,
    licence: str,
    datasets: Sequence[str] = (),
    evaluation: str | Path | None = None,
    private: bool = False,
) -> str:
    """Upload a stainer to the Hugging Face Hub, with a model card that the Hub can read.

    Who may write is decided by the library huggingface-hub: ``hf auth login`` or the variable HF_TOKEN.

    Args:
        stainer: a stainer folder, or a run folder.
        repository: owner/name; made where it does not exist.
        licence: identifier of the weights' licence as the Hub knows it, such as apache-2.0 or cc-by-nc-4.0. Weights
            that were trained on data for non-commercial research are for that alone.
        datasets: names of the data sets that it was trained on.
        evaluation: folder of ``restain evaluate`` whose scores the card lists; its images must have been made by this
            stainer.
        private: whether a repository that is made is private.

    Returns:
        the address of the commit.

    Raises:
        RestainError: no stainer, a name that cannot be, an evaluation of another stainer, or the Hub refuses.
    """
    name = repository.removeprefix("hf://")
    check_repository(name)
    if not _LICENCE.fullmatch(licence):
        raise RestainError(f"licence: is {licence!r}; expected an identifier such as apache-2.0 or cc-by-nc-4.0")
    for data in datasets:
        if not _DATA_SET.fullmatch(data):
            raise RestainError(f"datasets: {data!r} is no name of a data set; expected a name, or owner/name")
    folder = stainer_folder(stainer)
    made = load_stainer(folder)  # refuses what is broken before it is passed on
    head: dict[str, Any] = {"license": licence}
    if datasets:
        head["datasets"] = list(datasets)
    evaluated = ""
    if evaluation is not None:
        summary = read_summary(Path(evaluation) / SUMMARY)
        scores = _scores_of(summary, made, Path(evaluation))
        head["model-index"] = [_model_index(name, summary, scores)]
        evaluated = _section(summary, scores)
    with TemporaryDirectory() as temporary:
        for file in (CONFIG, WEIGHTS, STATISTICS):
            if (folder / file).is_file():
                shutil.copyfile(folder / file, Path(temporary) / file)
        parameters = sum(p.numel() for p in made.generator.parameters())
        card = model_card(read_config(folder / CONFIG), parameters, head=head, evaluated=evaluated)
        write_text(Path(temporary) / CARD, card)
        message = f"Stainer {made.weights_sha256[:12]}"
        return upload(Path(temporary), name, private=private, message=message)


def pull(reference: str, out: str | Path) -> Path:
    """Download a stainer from the Hugging Face Hub into a folder: its safetensors, config and card, nothing else.

    Args:
        reference: hf://owner/name, or hf://owner/name@revision with a branch, a tag or a commit.
        out: a new or an empty folder, or a stainer that is to be replaced.

    Returns:
        ``out``.

    Raises:
        RestainError: no such repository, it holds no stainer, a hash is not the one in ``config.json``, or ``out``
            holds something else.
    """
    if hub_reference(reference) is None:
        raise RestainError(f"{reference!r} is no reference to the Hugging Face Hub; expected hf://owner/name")
    folder = stainer_folder(reference)
    load_stainer(folder)  # verifies its hashes
    copy_stainer(folder, Path(out))
    return Path(out)


def _scores_of(summary: Summary, made: Stainer, folder: Path) -> Scores:
    for system, by in summary.stainers.items():
        if by.stainer == made.identity and by.norm != "folder":
            return summary.systems[system]
    raise RestainError(
        f"{folder}: no system in it is recorded as made by this stainer ({made.identity[:12]}...) with its own "
        "statistics; stain with restain stain and evaluate that folder"
    )


def _listed(scores: Scores) -> Scores:
    """The scores that have a better direction and a finite value."""
    return {name: one for name, one in scores.items() if one.direction != "none" and math.isfinite(one.mean)}


def _model_index(repository: str, summary: Summary, scores: Scores) -> dict[str, Any]:
    data = summary.data_set or "not named"
    return {
        "name": repository.partition("/")[2],
        "results": [
            {
                "task": {"type": "image-to-image", "name": "virtual staining"},
                "dataset": {"type": data, "name": f"{data}, {summary.split or 'split not named'}"},
                "metrics": [
                    {"type": name, "value": one.mean, "name": f"{name} (protocol {summary.protocol})"}
                    for name, one in _listed(scores).items()
                ],
            }
        ],
    }


def _section(summary: Summary, scores: Scores) -> str:
    rows = [
        f"| {name} | {one.mean:.4g} | {f'{one.ci95[0]:.4g} to {one.ci95[1]:.4g}' if one.ci95 else ''} | {one.n} |"
        for name, one in _listed(scores).items()
    ]
    data = json.dumps(summary.data_set)[1:-1] if summary.data_set else "a data set without a name"
    return "\n".join(
        [
            "## Evaluation",
            "",
            f"{summary.n} images of {data}, {summary.resolution}, protocol {summary.protocol}, seed {summary.seed}.",
            "",
            "| metric | value | 95 % interval | n |",
            "|---|---|---|---|",
            *rows,
        ]
    )
