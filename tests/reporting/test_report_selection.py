import numpy as np
import pytest

from restain.reporting.selection import choose_fields
from restain.reporting.tables import Table


def table(**columns: list[float]) -> Table:
    rows = len(next(iter(columns.values())))
    names = {"id": tuple(f"field{row}" for row in range(rows))}
    return Table(names | {name: tuple(str(value) for value in values) for name, values in columns.items()})


def errors(dab: list[float], cells: list[float]) -> Table:
    """A table whose errors are these: the truth is 1 everywhere, and the sign of an error does not matter."""
    return table(
        dab_mean_od=[1 - value for value in dab],
        dab_mean_od_real=[1.0] * len(dab),
        h_score=[1 + value for value in cells],
        h_score_real=[1.0] * len(cells),
    )


def test_the_ends_and_the_medians_of_both_rankings_are_shown() -> None:
    dab = [0.1, 0.9, 0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8]
    cells = [5.0, 4.0, 3.0, 9.0, 8.0, 7.0, 6.0, 1.0, 2.0]
    choices = choose_fields(errors(dab, cells), 6)
    assert [(choice.row, choice.reason) for choice in choices] == [
        (1, "largest DAB error"),
        (2, "median DAB error"),
        (0, "smallest DAB error"),
        (3, "largest H-score error"),
        (6, "H-score error rank 4 of 9"),  # row 0 is the median and is shown already
        (7, "smallest H-score error"),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 11, 12, 40])
@pytest.mark.parametrize("rows", [1, 2, 5, 12])
def test_as_many_different_fields_as_asked_for_and_there_are(count: int, rows: int) -> None:
    rng = np.random.default_rng(count * 100 + rows)
    values = errors(rng.random(rows).tolist(), rng.random(rows).tolist())
    chosen = [choice.row for choice in choose_fields(values, count)]
    assert len(chosen) == len(set(chosen)) == min(count, rows)


def test_one_field_is_the_median_and_not_the_best() -> None:
    choices = choose_fields(table(dab_mean_od=[0.1, 0.9, 0.5], dab_mean_od_real=[0.0, 0.0, 0.0]), 1)
    assert [(choice.row, choice.reason) for choice in choices] == [(2, "median DAB error")]


def test_missing_columns_leave_the_share_to_the_others() -> None:
    by_cells = choose_fields(table(h_score=[1.0, 3.0, 2.0], h_score_real=[0.0, 0.0, 0.0]), 2)
    assert [choice.reason for choice in by_cells] == ["largest H-score error", "smallest H-score error"]
    by_name = choose_fields(table(other=[1.0, 2.0, 3.0]), 2)
    assert [(choice.row, choice.reason) for choice in by_name] == [(0, "first by name"), (2, "last by name")]


def test_rows_without_a_value_rank_last() -> None:
    choices = choose_fields(table(dab_mean_od=[float("nan"), 0.2, 0.4], dab_mean_od_real=[0.0] * 3), 3)
    assert [choice.row for choice in choices] == [2, 1, 0]
