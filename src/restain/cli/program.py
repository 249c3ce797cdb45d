"""The program: it runs a command, and turns an error from outside into one sentence."""

from __future__ import annotations

import contextlib
import io
import os
import sys

import typer

from restain.cli.app import app
from restain.errors import RestainError, in_short, os_reason, printable


def main() -> None:
    """Run the command line; an error from outside the program becomes one sentence and exit status 2.

    Whatever the terminal can show and however long it listens: a character that it lacks is printed as an escape, and
    a reader that goes away (``restain recipes | head -1``) ends the program without a word.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(prog_name="restain", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        status = _leave_quietly()
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        with contextlib.suppress(OSError):
            typer.echo(sentence, err=True)
        status = 2
    raise SystemExit(status if isinstance(status, int) else 0)


def _leave_quietly() -> int:
    """Nobody reads any more: what is still in the buffers goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    return 1


def _sentence(error: Exception) -> str | None:
    """What the terminal shows of an error that comes from outside the program; None where it is the program's own."""
    if isinstance(error, RestainError):
        reason = str(error)
    elif isinstance(error, OSError):
        reason = f"{os.fsdecode(error.filename)}: {os_reason(error)}" if error.filename else os_reason(error)
    elif isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        reason = f"there is not enough memory ({in_short(error)}); expected less at a time"
    elif isinstance(error, typer.Abort):
        reason = "stopped"
    elif callable(message := getattr(error, "format_message", None)):  # how the command line is used
        text, context = str(message()).replace("Value error, ", ""), getattr(error, "ctx", None)
        if "\n" in text or not text:  # a command without arguments: its help, or nothing where that was printed
            return text
        reason = f"{text.rstrip('.')} (see {context.command_path if context else 'restain'} --help)"
    else:
        return None
    return f"restain: {printable(reason)}"
