"""CSV files as plain values, forgiving about cells and strict about files."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from restain.errors import RestainError, quoted
from restain.files import read_text

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
    except (ValueError, OverflowError):  # a word; an integer beyond the largest float
        return float("nan")


def read_table(path: Path) -> Table:
    """Read a CSV file with a header; a short last row, as a killed run leaves it, is filled with empty cells.

    Raises:
        RestainError: the file is absent, is no UTF-8 CSV, is empty, repeats a column name or has a row that is longer
            than its header.
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(read_text(path), newline="")) if row]
    except csv.Error as error:
        raise RestainError(f"{path}: is not a CSV text file ({error})") from None
    if not rows:
        raise RestainError(f"{path}: is empty; expected a header line")
    header, body = rows[0], rows[1:]
    if len(set(header)) < len(header):
        raise RestainError(f"{path}: repeats a column name in its header {quoted(', '.join(header))}")
    if any(len(row) > len(header) for row in body):
        raise RestainError(f"{path}: has a row with more cells than its header; expected {len(header)} cells a row")
    filled = [row + [""] * (len(header) - len(row)) for row in body]
    return Table({name: tuple(row[column] for row in filled) for column, name in enumerate(header)})
