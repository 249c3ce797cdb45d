"""Which fields of view the page shows: spread over the errors of DAB and of cells, never hand-picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restain.reporting.tables import Numbers, Table

_COLUMNS = ("dab_mean_od", "h_score")
_BY_NAME = "at even distances in the order of their names"


@dataclass(frozen=True)
class Choice:
    """A row of ``per_image.csv`` and why it is shown."""

    row: int
    reason: str


def choose_fields(table: Table, count: int) -> list[Choice]:
    """Choose ``count`` rows: half by the error of DAB, half by the error of the cells, each from worst to best.

    Each half takes ranks at even distances, the two ends included (one row alone takes the median). A row
    that is already shown is passed over for the nearest rank, so that ``count`` different fields are shown wherever
    the table has as many. Where a column is missing, the other one, or the order of names, takes its share.

    Args:
        table: ``per_image.csv``; the columns ``id``, ``dab_mean_od``, ``h_score`` and their ``_real`` are read.
        count: number of fields, >= 1.

    Returns:
        Choices in the order in which they are to be shown.
    """
    count = min(count, len(table))
    by_dab, by_cells = (_ranking(_error(table, column)) for column in _COLUMNS)
    if not by_dab and not by_cells:
        return _spread(list(range(len(table))), count, [], ("first by name", "last by name", "name"))
    share = count if not by_cells else (count + 1) // 2 if by_dab else 0
    chosen = _spread(by_dab, share, [], ("largest DAB error", "smallest DAB error", "DAB error"))
    words = ("largest H-score error", "smallest H-score error", "H-score error")
    return chosen + _spread(by_cells, count - share, chosen, words)


def describe_rule(table: Table) -> str:
    """The rule that ``choose_fields`` follows for this table, in words."""
    words = (
        "by the error of mean DAB from largest to smallest",
        "by the error of the H-score from largest to smallest",
    )
    used = [text for column, text in zip(_COLUMNS, words, strict=True) if _ranking(_error(table, column))]
    return ", ".join(f"half {text}" for text in used) if len(used) > 1 else (*used, _BY_NAME)[0]


def _error(table: Table, column: str) -> Numbers:
    return np.asarray(np.abs(table.numbers(column) - table.numbers(f"{column}_real")))


def _ranking(values: Numbers) -> list[int]:
    """Rows from the largest value to the smallest, those without a value last; empty where none has one."""
    if np.isnan(values).all():
        return []
    return [int(row) for row in np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")]


def _spread(ranking: list[int], count: int, chosen: Sequence[Choice], words: tuple[str, str, str]) -> list[Choice]:
    total = len(ranking)
    taken = {choice.row for choice in chosen}
    wanted = [(total - 1) // 2] if count == 1 else [int(rank) for rank in np.linspace(0, total - 1, count)]
    picked: list[Choice] = []
    for target in wanted:
        free = [rank for rank in range(total) if ranking[rank] not in taken]
        rank = min(free, key=lambda rank: (abs(rank - target), rank))
        taken.add(ranking[rank])
        picked.append(Choice(ranking[rank], _reason(rank, total, words)))
    return picked


def _reason(rank: int, total: int, words: tuple[str, str, str]) -> str:
    first, last, name = words
    if rank == 0:
        return first
    if rank == total - 1:
        return last
    if rank in ((total - 1) // 2, total // 2):
        return f"median {name}"
    return f"{name} rank {rank + 1} of {total}"
