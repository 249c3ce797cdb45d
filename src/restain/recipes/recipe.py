"""The recipe: everything that decides what a training run does.

A recipe reads like a paper's training details. It has sections that every method shares, and one method with the
sections that it alone knows. In YAML all sections lie side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic import Field, model_validator

from restain.methods import MethodConfig
from restain.networks.specs import GeneratorSpec, ResnetSpec
from restain.recipes.common import DataConfig, EngineConfig, LogConfig, OptimConfig, ValidationConfig
from restain.sections import Line, Section

# What a resumed run may change; how a step is divided, too, as long as the images of a step are the same in number.
MAY_DIFFER = ("log.", "validation.", "engine.workers", "optim.batch", "optim.accumulate")


class Recipe(Section):
    """Everything that decides what a training run does. Raises ``pydantic.ValidationError`` for what does not fit."""

    name: Line = Field(description="name of the recipe")
    about: str = Field(description="one line: what this variant is, and of which paper")
    method: MethodConfig = Field(description="the method, with the sections that it alone has")
    seed: int = Field(0, ge=0, lt=2**63, description="decides every random draw of the run")
    generator: GeneratorSpec = ResnetSpec()
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    engine: EngineConfig = EngineConfig()
    log: LogConfig = LogConfig()
    validation: ValidationConfig = ValidationConfig()

    @model_validator(mode="after")
    def _sections_agree(self) -> Recipe:
        problems = []
        if self.data.crop % self.generator.stride:
            problems.append(
                f"field data.crop is {self.data.crop}; expected a multiple of {self.generator.stride}, the stride of "
                "the generator"
            )
        problems += self.method.problems(self.generator, crop=self.data.crop, paired=self.data.paired)
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def decay_start(self) -> float:
        """k: the training progress in [0, 1] at which the learning rate starts to decay."""
        return self.optim.epochs / (self.optim.epochs + self.optim.decay_epochs)

    def to_flat(self) -> dict[str, Any]:
        """The recipe as it stands in YAML: plain values, the method's sections beside the others."""
        values = self.model_dump(mode="json")
        method = values.pop("method")
        head = {key: values.pop(key) for key in ("name", "about")}
        flat: dict[str, Any] = head | {"method": method.pop("name"), "seed": values.pop("seed")} | method | values
        return flat

    def to_yaml(self) -> str:
        """Every field with its value, as YAML that ``load_recipe`` reads back to an equal recipe."""
        return yaml.safe_dump(self.to_flat(), sort_keys=False, allow_unicode=True, width=110)


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted names of the fields in which two flat recipes differ, with both values; None where one lacks it."""
    a, b = dict(dotted(first)), dict(dotted(second))
    return {field: (a.get(field), b.get(field)) for field in {**a, **b} if a.get(field) != b.get(field)}


def dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a flat recipe by their dotted names, with their values."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
