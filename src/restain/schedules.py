"""How a learning rate changes over a run. No torch."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, NonNegativeFloat

from restain.sections import Section


class Schedule(Section):
    """The factor on the learning rate: 1 at first, then a decay that begins at a share of the run.

    ``linear`` and ``cosine`` fall from 1 to ``final`` between the start of the decay and the end; ``step`` multiplies
    by ``gamma`` after each ``step_share`` of the run, whenever the decay begins.
    """

    kind: Literal["linear", "cosine", "step"] = Field("linear", description="form of the decay")
    final: NonNegativeFloat = Field(0.0, description="linear, cosine: factor at the end of the run")
    gamma: float = Field(0.5, gt=0, le=1, description="step: factor of each step")
    step_share: float = Field(0.1, gt=0, le=1, description="step: share of the run between two steps")

    def factor(self, progress: float, decay_start: float) -> float:
        """The factor at ``progress`` in [0, 1), with a decay that begins at ``decay_start`` in [0, 1]."""
        if self.kind == "step":
            # Half a millionth of tolerance, so that 3 x 0.1 of the run is not missed by rounding.
            return self.gamma ** math.floor(progress / self.step_share + 5e-7)
        if progress < decay_start or decay_start == 1.0:
            return 1.0
        done = (progress - decay_start) / (1.0 - decay_start)
        fall = done if self.kind == "linear" else (1 - math.cos(math.pi * done)) / 2
        return 1.0 + (self.final - 1.0) * fall
