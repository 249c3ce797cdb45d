"""CSV and JSON files as plain values, forgiving about cells and strict about files."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from restain.errors import RestainError

Numbers: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """Columns of a CSV file in file order, as text."""

    columns: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def where(self, name: str, value: str) -> Table:
        """The rows that hold ``value`` in this column, without the column."""
        kept = [row for row, cell in enumerate(self.columns[name]) if cell == value]
        others = {column: cells for column, cells in self.columns.items() if column != name}
        return Table({column: tuple(cells[row] for row in kept) for column, cells in others.items()})

    def numbers(self, name: str) -> Numbers:
        """A column as float64 (n,); an absent column, an empty cell or a word is NaN."""
        cells = self.columns.get(name, ("",) * len(self))
        return np.array([as_number(cell) for cell in cells], dtype=np.float64)


def as_number(value: object) -> float:
    """A float from a JSON or CSV value, "inf" included; NaN for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        return float(value)
    except ValueError:
        return float("nan")


def read_table(path: Path) -> Table:
    """Read a CSV file with a header; a short last row, as a killed run leaves it, is filled with empty cells.

    Raises:
        RestainError: the file is empty, is not UTF-8 text or repeats a column name.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise RestainError(f"{path}: is not a CSV text file ({error})") from error
    if not rows:
        raise RestainError(f"{path}: is empty; expected a header line")
    header, body = rows[0], rows[1:]
    if len(set(header)) < len(header):
        raise RestainError(f"{path}: repeats a column name in its header {', '.join(header)}")
    filled = [row + [""] * (len(header) - len(row)) for row in body]
    return Table({name: tuple(row[column] for row in filled) for column, name in enumerate(header)})


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        RestainError: the file is not JSON, or holds something other than an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RestainError(f"{path}: is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise RestainError(f"{path}: holds a JSON {type(value).__name__}; expected an object")
    return value
