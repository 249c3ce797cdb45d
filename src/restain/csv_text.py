"""Tables in CSV files, read by the names of their columns."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from restain.errors import RestainError, in_short, quoted
from restain.files import read_text


def read_table(path: Path, required: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table, without spaces around their cells; empty lines are left out.

    Args:
        path: UTF-8 text with a header line.
        required: columns that it must have; it may have others.

    Returns:
        for each row, where it is (``FILE, line N``) and its cells by the names of the columns.

    Raises:
        RestainError: the file cannot be read, is no CSV, lacks a column, names one twice, or has a row with more or
            fewer cells than columns.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if cells]
    except csv.Error as error:
        raise RestainError(f"{path}, line {reader.line_num}: is not CSV ({in_short(error)})") from None
    columns = lines[0][1] if lines else []
    missing = [name for name in required if name not in columns]
    if missing:
        found = quoted(", ".join(columns)).strip("'\"") if columns else "none"
        raise RestainError(f"{path}: has the columns {found}; missing {', '.join(missing)}")
    twice = [name for name, count in Counter(columns).items() if name and count > 1]
    if twice:
        raise RestainError(f"{path}: repeats the column {quoted(twice[0])}; expected each name once")
    for number, cells in lines[1:]:
        if len(cells) != len(columns):
            raise RestainError(f"{path}, line {number}: has {len(cells)} cells; expected {len(columns)}")
    return [(f"{path}, line {number}", dict(zip(columns, cells, strict=True))) for number, cells in lines[1:]]
