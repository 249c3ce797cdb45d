"""Tables of the paper: what they name must be there, in both sizes."""

import pytest

from restain.benchmarking.papers import PAPER_TABLES
from restain.evaluation.literature import known_data_sets
from restain.metrics import select_metrics
from restain.recipes import recipe_names


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_recipes_metrics_and_data_sets_of_a_table_exist(name: str) -> None:
    table, shipped = PAPER_TABLES[name], recipe_names()
    assert set(table.recipes) | {f"{recipe}-small" for recipe in table.recipes} <= set(shipped)
    assert {metric.name for metric in select_metrics(table.metrics)} >= set(table.metrics)
    assert table.compare_with is None or table.compare_with in known_data_sets()
