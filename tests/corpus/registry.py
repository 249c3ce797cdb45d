"""The corpus of bad inputs: what a case is, and how it is run through the command line in process.

A case is a function that writes its files into an empty folder and returns what to run and what must be said::

    @case("pictures")
    def text_for_an_image(folder: Path) -> Bad:
        (folder / "in.png").write_text("no image")
        return Bad(["stain", "--input", "in.png", ...], says=("in.png", "cannot be read as an image"))

``variants`` turns one function into several cases. ``off`` marks cases of an area that does not yet hold: they run,
and may fail; with a reason that begins with "no end" they do not run. A module of cases is listed in
``test_corpus.py``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import restain.cli

SECONDS, BYTES = 10, 1_000_000_000  # of processor time and of memory that a case may take
PATIENCE = 20  # seconds on the clock: something waits that should not


@dataclass(frozen=True)
class Bad:
    """A command line and how it must end."""

    words: list[str]
    says: tuple[str, ...]  # parts of the sentence
    status: int = 2
    leaves: tuple[str, ...] = ()  # what may be new, as patterns of paths below the folder
    full: bool = False  # the disk is full: no file can be flushed
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One bad input; ``make`` writes it into a folder."""

    area: str
    name: str
    make: Callable[[Path], Bad]
    off: str | None = None

    def __str__(self) -> str:
        return f"{self.area}-{self.name}"


CASES: list[Case] = []


def case(
    area: str, variants: Mapping[str, Any] | None = None, off: str | None = None
) -> Callable[[Callable[..., Bad]], Callable[..., Bad]]:
    """Register a function as a case, or as one for each of ``variants``, whose value it gets."""

    def register(make: Callable[..., Bad]) -> Callable[..., Bad]:
        if variants is None:
            CASES.append(Case(area, make.__name__, make, off))
        for name, value in (variants or {}).items():
            CASES.append(
                Case(area, f"{make.__name__}-{name}", lambda folder, value=value: make(folder, value), off)  # type: ignore[misc]
            )
        return make

    return register


def parameters() -> list[Any]:
    """All cases for ``pytest.mark.parametrize``."""
    return [pytest.param(one, id=str(one), marks=_marks(one.off)) for one in CASES]


def _marks(off: str | None) -> list[pytest.MarkDecorator]:
    return [pytest.mark.xfail(strict=False, reason=off, run=not off.startswith("no end"))] if off else []


def run_case(one: Case, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a case and check the whole of its end."""
    monkeypatch.chdir(folder)
    bad = one.make(folder)
    for name, value in bad.environment.items():
        monkeypatch.setenv(name, value)
    if bad.full:
        monkeypatch.setattr("restain.files.os.fsync", _full)
    before = _snapshot(folder)
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["restain", *bad.words])
    with _limits(), pytest.raises(SystemExit) as stop:
        restain.cli.main()
    out, err = capsys.readouterr()
    told = out + err
    assert stop.value.code == bad.status, told
    assert "Traceback" not in told
    sentences = [line for line in err.splitlines() if line.startswith("restain: ")]
    if bad.status == 2:
        assert len(sentences) == 1 and err.splitlines()[-1] == sentences[0], told
        told = sentences[0]
    for part in bad.says:
        assert part in told, told
    after = _snapshot(folder)
    assert {path: before[path] for path in before if after.get(path) != before[path]} == {}, "changed or deleted"
    new = [path for path in after.keys() - before.keys() if not any(Path(path).match(left) for left in bad.leaves)]
    assert new == [], "left behind"


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _snapshot(folder: Path) -> dict[str, str]:
    """Every path below a folder with what it is and holds."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            state = f"link to {path.readlink()}"
        elif path.is_file():
            state = f"{path.stat().st_size} {_digest(path)}"
        else:
            state = "folder" if path.is_dir() else "other"
        found[path.relative_to(folder).as_posix()] = state
    return found


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(1 << 20)).hexdigest()


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Refuse what takes too much time or memory."""

    def late(*_: object) -> None:
        raise AssertionError(f"no end after {PATIENCE} s")

    former = signal.signal(signal.SIGALRM, late)
    signal.alarm(PATIENCE)
    _reset_peak()
    start, held = time.process_time(), _memory("VmRSS")
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    assert time.process_time() - start < SECONDS
    assert _memory("VmHWM") - held < BYTES


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(name: str) -> int:
    """Bytes of the process, now or at most since the last reset; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0
