"""What the trackers with runs of their own share: the id of such a run, kept in the run folder."""

from __future__ import annotations

import json
from pathlib import Path

from restain.errors import RestainError
from restain.files import write_json
from restain.tracking.tracker import RunInfo


def run_to_resume(info: RunInfo, path: Path) -> str | None:
    """The id in ``path``; None where a new run begins.

    Raises:
        RestainError: the file is not ``{"id": "..."}``.
    """
    if info.step == 0 or not path.exists():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["id"]
    except (ValueError, TypeError, KeyError):
        kept = None
    if not isinstance(kept, str) or not kept:
        raise RestainError(f'{path}: holds no run; expected {{"id": "..."}} (without the file, a new run begins)')
    return kept


def keep_run(path: Path, run: str) -> None:
    """Write the id down for ``run_to_resume``."""
    write_json(path, {"id": run})
