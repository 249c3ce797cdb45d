"""Recipes: strict models of a training run, read from YAML, one for each published variant."""
