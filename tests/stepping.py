"""Methods built from recipes, and single phases of their steps."""

from typing import Any

from restain.methods.base import Method, Phase, Progress, Step
from restain.recipes import Recipe
from restain.types import Batch

TOTAL = 45_000  # steps; the decay starts after 40 of 45 epochs, as in asp-dgrank


def build(recipe: Recipe) -> Any:
    """The method of a recipe, freshly initialised."""
    return recipe.method.build(recipe.generator, seed=recipe.seed, crop=recipe.data.crop)


def phase_of(method: Method[Any], name: str) -> Phase:
    """A phase by the beginning of its name."""
    return next(phase for phase in method.phases if phase.name.startswith(name))


def take(method: Method[Any], name: str, batch: Batch, shared: Any = None, progress: float = 0.0) -> Step:
    """The loss of a phase as the loop asks for it, on a forward pass of its own where none is given."""
    if shared is None:
        shared = method.forward_pass(batch)
    phase = phase_of(method, name)
    with method.only(phase):
        return method.loss(phase, batch, shared, Progress(round(progress * TOTAL), TOTAL, 40 / 45))
