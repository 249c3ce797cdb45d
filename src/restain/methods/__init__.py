"""The only registry of methods: a recipe's ``method`` field names one of these."""

from collections.abc import Callable

from restain.methods.base import Method
from restain.methods.contrastive import ContrastiveMethod
from restain.recipes.recipe import Recipe

METHODS: dict[str, Callable[[Recipe], Method]] = {"contrastive": ContrastiveMethod}


def build_method(recipe: Recipe) -> Method:
    """Networks and losses of a recipe, freshly initialised from its seed."""
    return METHODS[recipe.method](recipe)


__all__ = ["METHODS", "Method", "build_method"]
