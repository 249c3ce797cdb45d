"""Recipes: strict models of a training run, read from YAML, one for each published variant. No torch."""

from restain.recipes.loading import fields_of, load_recipe, recipe_names, recipe_of, recipe_schema
from restain.recipes.recipe import Recipe, differences

__all__ = ["Recipe", "differences", "fields_of", "load_recipe", "recipe_names", "recipe_of", "recipe_schema"]
