"""Budgets in steps, epochs and minutes."""

import pytest

from restain.benchmarking.budget import Budget, read_batch, read_budget
from restain.errors import RestainError


@pytest.mark.parametrize(
    ("text", "budget", "steps"),
    [
        ("2000steps", Budget(2000, "steps"), 2000),
        ("2000000steps", Budget(2e6, "steps"), 2_000_000),
        ("2epochs", Budget(2, "epochs"), 2 * 4),  # 10 images in steps of 3: 4 steps an epoch
        ("0.5 epochs", Budget(0.5, "epochs"), 2),
        ("10min", Budget(10, "min"), 1200),  # at half a second a step
    ],
)
def test_a_budget_becomes_steps(text: str, budget: Budget, steps: int) -> None:
    assert read_budget(text) == budget
    assert budget.steps(images=10, batch=3, seconds=0.5) == steps
    assert read_budget(str(budget)) == budget


def test_less_than_a_step_of_time_is_one_step() -> None:
    assert Budget(0.01, "min").steps(images=10, batch=1, seconds=30.0) == 1


@pytest.mark.parametrize(
    "text", ["", "2000", "steps", "0steps", "1.5steps", "-2epochs", "2hours", "2epochs2", "nan min"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(RestainError, match=r"budget: is .*; expected such as 2000steps, 2epochs or 10min"):
        read_budget(text)


def test_images_per_step_are_a_number_or_own() -> None:
    assert read_batch("4") == 4 and read_batch("own") == "own"
    for text in ("", "-1", "2.5", "all"):
        with pytest.raises(RestainError, match=r"batch: is .*; expected a number of images per step, or own"):
            read_batch(text)
