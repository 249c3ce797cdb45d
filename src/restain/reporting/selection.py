"""Which fields of view the page shows: spread over quality and over the amount of DAB, never hand-picked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restain.reporting.tables import Numbers, Table


@dataclass(frozen=True)
class Choice:
    """A row of ``per_image.csv`` and why it is shown."""

    row: int
    reason: str


def choose_fields(table: Table, count: int) -> list[Choice]:
    """Choose ``count`` rows: half by SSIM from best to worst, half by DAB of the true IHC from most to least.

    Each half takes ranks at even distances, the two ends included (one row alone takes the median). A row
    that already stands is passed over for the nearest rank, so that ``count`` different fields are shown wherever
    the table has as many. Where a column is missing, the other one, or the order of names, takes its share.

    Args:
        table: ``per_image.csv``, columns ``id``, ``ssim`` and ``dab_mean_od_real`` are read.
        count: number of fields, >= 1.

    Returns:
        Choices in the order in which they are to be shown.
    """
    count = min(count, len(table))
    by_ssim, by_dab = _ranking(table.numbers("ssim")), _ranking(table.numbers("dab_mean_od_real"))
    if not by_ssim and not by_dab:
        return _spread(list(range(len(table))), count, [], ("first by name", "last by name", "name"))
    share = count if not by_dab else (count + 1) // 2 if by_ssim else 0
    chosen = _spread(by_ssim, share, [], ("best SSIM", "worst SSIM", "SSIM"))
    return chosen + _spread(by_dab, count - share, chosen, ("most DAB", "least DAB", "DAB"))


def describe_rule(table: Table) -> str:
    """The rule that ``choose_fields`` follows for this table, in words."""
    by_ssim, by_dab = "by SSIM from best to worst", "by the amount of DAB in the true IHC from most to least"
    has_ssim, has_dab = _ranking(table.numbers("ssim")), _ranking(table.numbers("dab_mean_od_real"))
    if has_ssim and has_dab:
        return f"half {by_ssim}, half {by_dab}"
    return by_ssim if has_ssim else by_dab if has_dab else "at even distances in the order of their names"


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
    best, worst, name = words
    if rank == 0:
        return best
    if rank == total - 1:
        return worst
    if rank in ((total - 1) // 2, total // 2):
        return f"median {name}"
    return f"{name} rank {rank + 1} of {total}"
