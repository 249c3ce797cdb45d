"""Piped output is plain lines: not too many, and one at the end."""

import io
import re

import pytest
from rich.console import Console

from restain import progress
from restain.progress import ProgressBar, as_time, counted


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
    assert "work: 60/100 steps, 60 %, 0:00:40 left, 1.00 steps/s" in lines[0]


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


@pytest.mark.parametrize("width", [80, 200])
def test_step_share_and_time_are_seen_before_the_losses_at_any_width(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    text, now = io.StringIO(), [0.0]
    monkeypatch.setattr(
        progress, "console", Console(file=text, force_terminal=True, width=width, get_time=lambda: now[0])
    )
    with ProgressBar("train asp-dgrank-no-attention", 418_000, "steps", 1000) as bar:
        bar.note = "D 0.251 G 3.21 G_gan 0.31 G_patch_nce 2.41 G_a2sp 2.2 G_pyramid 0.123 D_real 0.2 D_fake 0.3"
        for _ in range(3):
            now[0] += 0.5
            bar.advance()
    last = [
        line for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue()).splitlines() if "1003/418000" in line
    ][-1]
    assert len(last) <= width
    places = [last.index(word) for word in ("train asp-dgrank", "1003/418000", "0 %", ":", "D 0.251")]
    assert places == sorted(places)
    assert re.search(r"\d+:\d\d:\d\d", last)  # hours, minutes, seconds


def test_one_thing_is_not_written_as_many() -> None:
    assert [counted(count, "slide") for count in (0, 1, 2)] == ["0 slides", "1 slide", "2 slides"]
    assert [counted(count, "process", "processes") for count in (1, 2)] == ["1 process", "2 processes"]


def test_time_is_written_in_hours_minutes_and_seconds() -> None:
    assert [as_time(value) for value in (0.4, 59.6, 3723, 360000)] == ["0:00:00", "0:01:00", "1:02:03", "100:00:00"]
