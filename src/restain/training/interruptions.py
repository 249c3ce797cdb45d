"""What ends a run before its end: a signal to stop, and memory that does not suffice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from restain.errors import RestainError
from restain.recipes import Recipe
from restain.tensors import is_out_of_memory


@dataclass
class StopRequest:
    """Whether, and by which signal, the process was asked to stop."""

    signal: str | None = None


@contextmanager
def stop_requests_noted() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one acts as usual.

    Outside the main thread, where Python takes no signals, there is never a request.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        request.signal = signal.Signals(number).name
        signal.signal(number, usual[signal.Signals(number)])

    for number in usual:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def leave_stop_requests_to_the_loop(worker: int) -> None:
    """For a loader's worker: live on through Ctrl-C and through the first SIGTERM.

    A terminal and SLURM signal the whole group, and a worker that dies of it would fail the step that is to be saved.
    A second SIGTERM ends the worker, as it ends the loop; Python, which ends forgotten workers so at exit, sends two.
    """

    def live_on(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, live_on)


@contextmanager
def out_of_memory_explained(recipe: Recipe) -> Iterator[None]:
    """Turn an allocation that failed into a sentence that names the settings to lower."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise RestainError(
            f"out of memory at optim.batch {recipe.optim.batch} and data.crop {recipe.data.crop}: lower optim.batch "
            f"(raise optim.accumulate to keep the step), lower data.crop, or set engine.precision=bf16"
        ) from error
