"""How long each recipe of a comparison is trained: in steps, in epochs or by the clock. No torch."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from restain.errors import RestainError, quoted

Unit: TypeAlias = Literal["steps", "epochs", "min"]
_FORM = re.compile(r"(\d+(?:\.\d+)?) ?(steps|epochs|min)")


@dataclass(frozen=True)
class Budget:
    """An amount of training that every recipe gets."""

    amount: float
    unit: Unit

    def __str__(self) -> str:
        return f"{self.amount:.15g}{self.unit}"  # digits alone, as a budget is read

    def steps(self, *, images: int, batch: int, seconds: float) -> int:
        """Steps of a recipe.

        Args:
            images: of an epoch.
            batch: images per step.
            seconds: per step, as measured; used where the budget is in minutes.
        """
        if self.unit == "steps":
            return int(self.amount)
        if self.unit == "epochs":
            return math.ceil(self.amount * math.ceil(images / batch))
        return max(1, int(self.amount * 60 / seconds))


def read_budget(text: str) -> Budget:
    """``2000steps``, ``2epochs`` or ``10min``.

    Raises:
        RestainError: another form, nothing, or half a step.
    """
    match = _FORM.fullmatch(str(text).strip())
    if match is None or not float(match[1]) > 0 or (match[2] == "steps" and not float(match[1]).is_integer()):
        raise RestainError(f"budget: is {quoted(text)}; expected such as 2000steps, 2epochs or 10min")
    unit: Unit = match[2]  # type: ignore[assignment]
    return Budget(float(match[1]), unit)


def read_batch(text: str) -> int | Literal["own"]:
    """A number of images per step, or ``own``.

    Raises:
        RestainError: another form.
    """
    if text == "own":
        return "own"
    if not text.isdecimal():
        raise RestainError(f"batch: is {quoted(text)}; expected a number of images per step, or own")
    return int(text)
