"""The terminal: whatever it can show and however long it listens, there is no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from restain.cli.signals import signals_as_interrupt
from restain.files import read_json
from restain.images import write_png

RESTAIN = [sys.executable, "-m", "restain.cli"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set in a folder whose name is not UTF-8 and holds markup."""
    folder = tmp_path / os.fsdecode(b"caf\xe9 [/b]")
    for side in ("trainA", "trainB"):
        write_png(folder / side / "x.png", np.full((40, 40, 3), 90, dtype=np.uint8))
    return folder


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_a_name_that_the_terminal_cannot_show(data: Path, tmp_path: Path, encoding: str) -> None:
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(
        [*RESTAIN, "data", "inspect", data, "--out", tmp_path / "out"], capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert b"[/b]: layout" in done.stdout and b"Traceback" not in done.stderr
    assert os.fsencode(read_json(tmp_path / "out" / "inspection.json")["root"]) == os.fsencode(data)


@pytest.mark.parametrize("words", [["recipes"], ["recipes", "schema"], ["--help"], ["recipes", "show", "nothing"]])
def test_a_reader_that_goes_away(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*RESTAIN, *words], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_what_nohup_ignores_stays_ignored() -> None:
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_as_interrupt():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, usual)


def test_version() -> None:
    done = subprocess.run([*RESTAIN, "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("restain 0.")
