"""CSV: a log that belongs to its checkpoint, in which no number is lost or stands under another one's name."""

import csv
from pathlib import Path

import pytest

from restain.errors import RestainError
from restain.tracking import open_trackers


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def logs(run_at) -> Path:
    return run_at(0).folder / "logs"


def test_reopening_a_log_drops_what_came_after_the_checkpoint(run_at, logs: Path) -> None:
    tracker = open_trackers([], run_at(0))
    for step in (2, 4, 6):
        tracker.log(step, {"G": 1 / step})
        tracker.log(step, {"val/dab_r": step / 10})
    again = open_trackers([], run_at(4))
    again.log(6, {"G": 7.0})
    assert [(row["step"], row["G"]) for row in rows(logs / "train.csv")] == [("2", "0.5"), ("4", "0.25"), ("6", "7")]
    assert rows(logs / "validation.csv") == [{"step": "2", "dab_r": "0.2"}, {"step": "4", "dab_r": "0.4"}]
    open_trackers([], run_at(0))
    assert list(logs.iterdir()) == []


def test_steps_beyond_a_million_stay_whole(run_at, logs: Path) -> None:
    open_trackers([], run_at(0)).log(1_234_567, {"G": 1234.5678})
    assert rows(logs / "train.csv") == [{"step": "1234567", "G": "1234.57"}]


def test_a_row_with_both_kinds_is_divided(run_at, logs: Path) -> None:
    open_trackers(["csv"], run_at(0)).log(3, {"G": 1.5, "val/dab_r": 0.25, "interval": 0.125})
    assert rows(logs / "train.csv") == [{"step": "3", "G": "1.5", "interval": "0.125"}]
    assert rows(logs / "validation.csv") == [{"step": "3", "dab_r": "0.25"}]


@pytest.mark.parametrize("reopened", [False, True])
def test_new_keys_widen_the_table_and_missing_ones_leave_a_gap(run_at, logs: Path, reopened: bool) -> None:
    tracker = open_trackers([], run_at(0))
    tracker.log(1, {"G": 1.0, "D": 2.0})
    if reopened:
        tracker = open_trackers([], run_at(1))
    tracker.log(2, {"cycle": 3.0, "D": 4.0})
    tracker.log(3, {"D": 5.0})
    assert rows(logs / "train.csv") == [
        {"step": "1", "G": "1", "D": "2", "cycle": ""},
        {"step": "2", "G": "", "D": "4", "cycle": "3"},
        {"step": "3", "G": "", "D": "5", "cycle": ""},
    ]


def test_half_a_line_of_a_killed_run_is_dropped(run_at, logs: Path) -> None:
    tracker = open_trackers([], run_at(0))
    tracker.log(40, {"G": 1.0})
    tracker.log(1200, {"G": 2.0})
    path = logs / "train.csv"
    path.write_bytes(path.read_bytes()[:-6])  # "12" is left, which must not pass for step 12
    assert path.read_bytes().endswith(b"\n12")
    open_trackers([], run_at(40)).log(41, {"G": 3.0})
    assert rows(path) == [{"step": "40", "G": "1"}, {"step": "41", "G": "3"}]


@pytest.mark.parametrize("half", [b"", b"step", b"step,G\r\n", b"step,G\r\n1"])
def test_a_log_without_a_whole_row_begins_anew(run_at, logs: Path, half: bytes) -> None:
    logs.mkdir(parents=True)
    (logs / "train.csv").write_bytes(half)
    open_trackers([], run_at(5)).log(6, {"D": 1.0})
    assert rows(logs / "train.csv") == [{"step": "6", "D": "1"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"step,G\n1,2,3\n", r"train.csv: a row has 3 cells; expected 2, as in the header"),
        (b"step,G\none,2\n", r"train.csv: a row has the step 'one'; expected a number"),
        (b"epoch,G\n1,2\n", r"train.csv: a row has the step None; expected a number"),
        (b"\xff\xfe\n1\n", r"train.csv: is not a CSV text file"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(run_at, logs: Path, text: bytes, message: str) -> None:
    logs.mkdir(parents=True)
    (logs / "train.csv").write_bytes(text)
    with pytest.raises(RestainError, match=message):
        open_trackers([], run_at(5))
    assert (logs / "train.csv").read_bytes() == text
