"""Weights & Biases: project ``restain`` unless WANDB_PROJECT says otherwise, files in ``logs/wandb``.

WANDB_MODE and the other variables of wandb are its own: with ``WANDB_MODE=offline`` nothing leaves the machine until
``wandb sync`` is called on the files.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import wandb

from restain.errors import RestainError, in_short
from restain.tracking.remote import keep_run, run_to_resume
from restain.tracking.tracker import RunInfo, TrackerLost


def open_tracker(info: RunInfo) -> WandbTracker:
    """Start a run, or resume the one whose id is in ``logs/wandb.json``; never asks for a login.

    Raises:
        RestainError: no login and not offline; no answer from the server; another run is active in this process.
    """
    if wandb.run is not None:  # wandb would hand out that run, whatever is asked for
        raise RestainError(f"wandb run {wandb.run.id} is active in this process; finish it before training starts")
    path = info.logs / "wandb.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = run_to_resume(info, path)
    try:
        with _nobody_to_ask():
            run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "restain"),
                name=info.name,
                config=dict(info.config),
                dir=str(info.logs),
                id=known,
                resume="allow" if known else None,
                settings=wandb.Settings(console="off"),  # a copy of the screen would be one long progress bar
            )
    except wandb.Error as error:
        raise RestainError(
            f"wandb did not start ({in_short(error).rstrip('.')}); set WANDB_MODE=offline, or log in with 'wandb login'"
        ) from None
    keep_run(path, run.id)
    return WandbTracker(run)


class WandbTracker:
    """A run of Weights & Biases."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._first: int = run.step  # past what a resumed run holds
        self._around = sys.exception()  # of a caller who trains while handling it

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One row; rows of a step are merged."""
        self._send(step, dict(values))

    def picture(self, step: int, name: str, path: Path) -> None:
        """An image of the series ``name``."""
        self._send(step, {name: wandb.Image(str(path))})

    def close(self) -> None:
        """Wait for the upload and end the run."""
        with _losses_named():
            self._run.finish(exit_code=0 if sys.exception() is self._around else 1)

    def _send(self, step: int, values: dict[str, Any]) -> None:
        # A resumed run holds what was logged between its last checkpoint and the stop; wandb takes no step twice.
        if step >= self._first:
            with _losses_named():
                self._run.log(values, step=step)


@contextlib.contextmanager
def _losses_named() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a service process that is gone shows as exceptions of many kinds
        raise TrackerLost(in_short(error)) from error


@contextlib.contextmanager
def _nobody_to_ask() -> Iterator[None]:
    """Let wandb raise where it would ask for a key: it asks in terminals, and in notebooks unless they are dumb."""
    stdin, terminal = sys.stdin, os.environ.get("TERM")
    with Path(os.devnull).open() as nothing:
        sys.stdin, os.environ["TERM"] = nothing, "dumb"
        try:
            yield
        finally:
            sys.stdin = stdin
            del os.environ["TERM"]
            if terminal is not None:
                os.environ["TERM"] = terminal
