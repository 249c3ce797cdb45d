"""The local engine: one job after another, each in a process of its own. No torch.

A job then gives its memory back, its peak of memory is its own, and one that the system kills ends nothing else.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar, TypeVarTuple, cast

from restain.errors import RestainError, in_short

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")


def in_own_process(function: Callable[[*Arguments], Result], *arguments: *Arguments) -> Result:
    """Call a function of a module in a fresh process and hand back what it returns or raises.

    Raises:
        RestainError: the process was killed, as the system does where memory runs out, or ended without a result; an
            exception of another kind, in one sentence.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments))
    process.start()
    theirs.close()  # only the process holds it now, and its end is seen here
    try:
        outcome = ours.recv()
    except EOFError:
        process.join()
        raise RestainError(_why_without_result(process.exitcode)) from None
    finally:
        process.join()  # a training that is told to stop saves its state first
        ours.close()
    if isinstance(outcome, RestainError):
        raise outcome
    return cast(Result, outcome)


def refuse_second_start() -> None:
    """A script without a guard starts its comparison again in every process of that comparison.

    Raises:
        RestainError: this process is still importing the script of the process that started it.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RestainError(
            "restain.bench runs each training in a process that imports the script again; expected the call in the "
            "script under: if __name__ == '__main__':"
        )


def _answer(answers: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    _end_with_parent()
    try:
        outcome = function(*arguments)
    except RestainError as error:
        outcome = error
    except Exception as error:  # of a library, which need not survive the way to the other process
        outcome = RestainError(f"{type(error).__name__}: {in_short(error)}")
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        answers.send(outcome)


def _end_with_parent() -> None:
    """Tell this process to stop when the one that started it is gone; a training then saves its state."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _why_without_result(status: int | None) -> str:
    if status is not None and status < 0:
        return f"its process was killed by {signal.Signals(-status).name}, as the system does where memory runs out"
    return f"its process ended with exit status {status} and without a result; see what it wrote above"
