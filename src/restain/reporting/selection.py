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
    total = len(table)
    count = min(count, total)
    ssim, dab = table.numbers("ssim"), table.numbers("dab_mean_od_real")
    by_ssim = [] if np.isnan(ssim).all() else _ranking(ssim)
    by_dab = [] if np.isnan(dab).all() else _ranking(dab)
    if by_ssim and by_dab:
        first = (count + 1) // 2
        chosen = _spread(by_ssim, first, [], ("best SSIM", "worst SSIM", "SSIM"))
    else:
        chosen = []
        if by_ssim:
            return _spread(by_ssim, count, chosen, ("best SSIM", "worst SSIM", "SSIM"))
    if by_dab:
        return chosen + _spread(by_dab, count - len(chosen), chosen, ("most DAB", "least DAB", "DAB"))
    return _spread(list(range(total)), count, chosen, ("first by name", "last by name", "name"))


def _ranking(values: Numbers) -> list[int]:
    """Row numbers from the largest value to the smallest; rows without a value come last."""
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
