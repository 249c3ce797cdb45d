"""Rows of numbers as CSV: ``logs/train.csv``, and ``logs/validation.csv`` for the keys that begin with ``val/``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from restain.errors import RestainError
from restain.files import write_aside
from restain.tracking.tracker import RunInfo

_VALIDATION = "val/"


def open_tracker(info: RunInfo) -> CsvTracker:
    """Open both files at ``info.step``: later rows are dropped.

    Raises:
        RestainError: a file is not the CSV that a run writes.
    """
    return CsvTracker(info)


class CsvTracker:
    """Two tables: what is measured while training, and on the validation split."""

    def __init__(self, info: RunInfo) -> None:
        self._training = _Table(info.logs / "train.csv", info.step)
        self._validation = _Table(info.logs / "validation.csv", info.step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append a row to each table that has values in it; validation keys lose their prefix."""
        training = {key: value for key, value in values.items() if not key.startswith(_VALIDATION)}
        validation = {key.removeprefix(_VALIDATION): values[key] for key in values if key not in training}
        for table, row in ((self._training, training), (self._validation, validation)):
            if row:
                table.append(step, row)

    def picture(self, step: int, name: str, path: Path) -> None:
        """A picture is a file of the run folder already."""

    def close(self) -> None:
        """Every row is on disk already."""


class _Table:
    """One CSV file whose first column is the step; a key that is new widens the whole table."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        self._columns: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._keep_rows(step)

    def append(self, step: int, values: Mapping[str, float]) -> None:
        row = {"step": step, **values}
        new = [key for key in row if key not in self._columns]
        if new:
            rows = _read(self._path)[1] if self._columns else []
            self._columns += new
            self._write(rows)
        with self._path.open("a", newline="", encoding="utf-8") as file:
            cells = {key: value if isinstance(value, int) else f"{value:.6g}" for key, value in row.items()}
            csv.DictWriter(file, self._columns).writerow(cells)

    def _keep_rows(self, step: int) -> None:
        columns, rows = _read(self._path)
        kept = [row for row in rows if _step(self._path, row) <= step]
        if kept:
            self._columns = columns
            self._write(kept)
        else:
            self._path.unlink()

    def _write(self, rows: Iterable[Mapping[str, str]]) -> None:
        with write_aside(self._path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns)
            writer.writeheader()
            writer.writerows(rows)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and rows; a last line without its end, as a killed run leaves it, is left out."""
    try:
        text = path.read_bytes().decode("utf-8")
        lines = [line for line in csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline="")) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RestainError(f"{path}: is not a CSV text file ({error})") from None
    header, *body = lines or [[]]
    return header, [_cells(path, header, line) for line in body]


def _cells(path: Path, header: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    if len(line) != len(header):
        raise RestainError(f"{path}: a row has {len(line)} cells; expected {len(header)}, as in the header")
    return dict(zip(header, line, strict=True))


def _step(path: Path, row: Mapping[str, str]) -> float:
    try:
        return float(row["step"])
    except (KeyError, ValueError):
        raise RestainError(f"{path}: a row has the step {row.get('step')!r}; expected a number") from None
