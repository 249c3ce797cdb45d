"""Piped output is plain lines: not too many, and one at the end."""

import io

import pytest
from rich.console import Console

from restain import progress
from restain.progress import ProgressBar


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, force_terminal=False, width=200))
    return text


def test_a_piped_bar_prints_its_end_with_the_note(piped: io.StringIO) -> None:
    with ProgressBar("work", 100, "images") as bar:
        for _ in range(100):
            bar.note = "loss 0.5"
            bar.advance()
    lines = piped.getvalue().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("work: 100/100 images") and lines[0].endswith("loss 0.5")
    assert "\x1b" not in piped.getvalue()


def test_lines_come_at_intervals(piped: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with ProgressBar("work", 100, "steps", done=50) as bar:
        for _ in range(50):
            now[0] += 1
            bar.advance()
    lines = piped.getvalue().splitlines()
    assert len(lines) == 5
    assert "60/100 steps, 1.00 steps/s, 40 s left" in lines[0]


def test_a_quiet_bar_says_nothing(piped: io.StringIO) -> None:
    with ProgressBar("work", 1, "images", quiet=True) as bar:
        bar.advance()
    assert piped.getvalue() == ""


def test_a_terminal_gets_a_live_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=text, force_terminal=True, width=120))
    with ProgressBar("work", 3, "images") as bar:
        for _ in range(3):
            bar.advance()
    assert "3/3" in text.getvalue() and "\x1b[" in text.getvalue()
