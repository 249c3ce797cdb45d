"""The one exception that a user is meant to read, and how messages quote what is foreign."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_LONGEST = 80  # characters of a value in a message


class RestainError(Exception):
    """Something outside the program is wrong: a file, a field, a folder, a device.

    The message is one clear sentence that names the thing, the value seen and what was expected; the command
    line prints it without a traceback and exits with a non-zero status.
    """


class Stopped(RestainError):
    """The program was told to stop, and has saved what it needs to continue."""


def in_short(error: BaseException) -> str:
    """First line of what a foreign exception says, or its type's name where it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def quoted(value: object) -> str:
    """A value as it is written in Python, cut off where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, a list that holds itself
        return f"a value of type {type(value).__name__} that is too large to be shown"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"


def refuse_text(name: str, words: object) -> None:
    """Refuse one text or a dictionary where a list is expected: its letters or keys would be taken for the items.

    Raises:
        RestainError: ``words`` is one.
    """
    if isinstance(words, str | Mapping):
        kind = "text" if isinstance(words, str) else "dictionary"
        raise RestainError(f"{name}: is the {kind} {quoted(words)}; expected a list")


def meant(word: str, choices: Iterable[str]) -> str:
    """The choice that is nearest to a word, as ", did you mean X?"; empty where none is near."""
    close = get_close_matches(word, list(choices), n=1)
    return f", did you mean {close[0]}?" if close else ""


def printable(text: str) -> str:
    """Text on one line: a control character, or a byte of a file name that is no character, becomes an escape."""
    return "".join(
        char if char.isprintable() or unicodedata.category(char) == "Zs" else char.encode("unicode_escape").decode()
        for char in text
    )


def os_reason(error: OSError) -> str:
    """What the operating system says, without the number and the path: "No space left on device"."""
    return error.strerror or in_short(error)
