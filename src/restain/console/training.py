"""What ``restain train --dry-run`` prints."""

from __future__ import annotations

from rich.console import Console

from restain.progress import as_time, screen
from restain.training.estimate import TrainingEstimate


def print_estimate(estimate: TrainingEstimate, console: Console | None = None) -> None:
    """Print what a training would do, and what its steps would cost."""
    console = console or screen()
    cost, outline = estimate.cost, estimate.outline
    for line in outline.lines():
        console.print(line, soft_wrap=True)
    left = outline.steps - outline.first_step
    console.print(
        f"time        about {as_time(estimate.seconds)} for {left} steps ({cost.seconds:.3g} s per step, median of "
        f"{cost.measured}); validation and samples not included",
        soft_wrap=True,
    )
    memory = "not known" if cost.peak_bytes is None else f"{cost.peak_bytes / 1e9:.2f} GB at most in these steps"
    console.print(f"memory      {memory}")
    console.print("Nothing was written.")
