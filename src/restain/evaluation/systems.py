"""Who is judged: virtual stains by name, and two yardsticks that learn nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from restain.errors import RestainError

VIRTUAL, UNCHANGED, TRANSFER = "virtual", "H&E unchanged", "colour transfer"
_RESERVED = ("real", "fake", "source", "reference", UNCHANGED, TRANSFER)


def name_systems(fake: str | Path | Mapping[str, str | Path]) -> dict[str, Path]:
    """Folders of virtual stains by the name of their system; one folder without a name is "virtual".

    Raises:
        RestainError: there is none, or a name is empty, is taken or holds a colon.
    """
    if not isinstance(fake, Mapping):
        return {VIRTUAL: Path(fake)}
    if not fake:
        raise RestainError("fake: names no system; expected at least one folder of virtual stains")
    for name in fake:
        if not name.strip() or name in _RESERVED or ":" in name:
            raise RestainError(
                f"fake: a system cannot be called {name!r}; expected a name without colon, other than "
                + ", ".join(_RESERVED)
            )
    return {name: Path(folder) for name, folder in fake.items()}


def parse_systems(words: Sequence[str]) -> str | dict[str, str]:
    """``fake`` of ``evaluate`` from words of a command line: one DIR, or NAME=DIR for each system.

    Raises:
        RestainError: several folders, of which one has no name, or a name that stands twice.
    """
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    named: dict[str, str] = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not equals or not folder:
            raise RestainError(f"--fake: is {word!r}; expected NAME=DIR where several systems are judged")
        if name in named:
            raise RestainError(f"--fake: the name {name!r} stands twice; expected a name of its own for each system")
        named[name] = folder
    return named


def role_of(system: str) -> str:
    """The word for a system's folder in the summary: "fake" where it has no name of its own."""
    return "fake" if system == VIRTUAL else system
