"""The pages of the documentation, and the commands in them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from restain.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
PROGRAM: Any = typer.main.get_command(app)
# Not plain technical English.
IDIOMS = r"anew|yardsticks?|at hand|does not suffice|goes on|no side doors|figures for|judged?|judges|foretells?|tells"


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """(language, text) of each block of code."""
    for match in re.finditer(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        yield match[1], match[2]


def lines(text: str) -> Iterator[str]:
    """The commands of a block, one each, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield shlex.join(words)


def find_command(words: list[str]) -> tuple[Any, list[str]]:
    """The command that the first words name, and the words after it; None where they name none."""
    command, rest = PROGRAM, list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return (None if command is PROGRAM else command), rest


def options(command: Any) -> set[str]:
    """Every option that a command has."""
    return {name for one in command.params for name in (*one.opts, *one.secondary_opts)} | {"--help"}
