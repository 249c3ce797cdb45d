"""Recipes: strict models of a training run, read from YAML, one per row of the published tables.

A recipe reads like a paper's training details. Unknown fields and wrong values are refused by name; a recipe may
start from another (``extends: asp-dgrank``), and dotted overrides (``optim.lr=1e-4``) change single fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
)

from restain.errors import RestainError

Momentum: TypeAlias = Annotated[float, Field(ge=0, lt=1)]


class Section(BaseModel):
    """Base of every section: frozen, and closed to unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class GeneratorConfig(Section):
    """The ResNet generator (METHOD: Sec. 6 of the paper)."""

    ngf: PositiveInt = 64
    blocks: PositiveInt = 6
    spectral_norm: bool = True


class DiscriminatorConfig(Section):
    """The PatchGAN discriminator."""

    ndf: PositiveInt = 32
    layers: PositiveInt = 5
    spectral_norm: bool = True


class PatchConfig(Section):
    """What the contrastive terms share: layers, patches per layer, embedding, temperature."""

    layers: tuple[int, ...] = Field(default=(0, 4, 8, 12, 16), min_length=1)
    count: PositiveInt = 256
    dim: PositiveInt = 256
    tau: PositiveFloat = 0.07


class GanConfig(Section):
    """The adversarial term."""

    weight: NonNegativeFloat = 1.0


class PatchNceConfig(Section):
    """PatchNCE between the H&E and the virtual IHC."""

    weight: NonNegativeFloat = 10.0
    identity: bool = False  # CUT: the real IHC is translated too, and the two terms are averaged
    flip_equivariance: bool = False  # FastCUT: translate the mirrored H&E half of the time


class A2spConfig(Section):
    """The attention-guided adaptive supervised patch loss (Eq. 1-3)."""

    weight: NonNegativeFloat = 10.0
    locations: Literal["attention", "uniform"] = "attention"
    tissue_prior: bool = False  # multiply the attention by the tissue under each location
    schedule: Literal["lambda", "linear", "sigmoid", "zero"] = "lambda"
    lookup: Literal["linear", "top", "bell", "uniform"] = "linear"


class PyramidConfig(Section):
    """The Gaussian pyramid term."""

    weight: NonNegativeFloat = 10.0
    form: Literal["asp", "bci"] = "asp"


class DiffusionConfig(Section):
    """The diffusion module in front of the discriminator (Eq. 4-7)."""

    enabled: bool = True
    beta_start: float = Field(default=1e-4, gt=0, lt=1)
    beta_end: float = Field(default=2e-2, gt=0, lt=1)
    sigma: NonNegativeFloat = 0.05  # 1.0 is Eq. 5 as printed
    clean_fraction: float = Field(default=0.5, ge=0, le=1)
    t_min: int = Field(default=10, ge=2)
    t_max: int = Field(default=1000, ge=2)
    target: float = Field(default=0.6, ge=-1, le=1)
    interval: PositiveInt = 4
    ramp_kimg: PositiveFloat = 100.0


class DataConfig(Section):
    """What is read from the data folder, and what the images are."""

    paired: bool = True
    crop: int = Field(default=512, ge=16)
    flip: bool = True
    target: str = "B"  # which IHC of a folder that holds several: trainB, trainB_weak, ...
    stain: str | None = None  # name of the marker, for the stainer and its card
    mpp: PositiveFloat | None = None  # microns per pixel of the training images


class OptimConfig(Section):
    """Adam and its schedule: ``lr`` for ``epochs``, then linear decay to 0 over ``decay_epochs``."""

    lr: PositiveFloat = 2e-4
    betas: tuple[Momentum, Momentum] = (0.5, 0.999)
    batch: PositiveInt = 1
    accumulate: PositiveInt = 1  # batches whose gradients make one step
    epochs: int = Field(default=40, ge=0)
    decay_epochs: int = Field(default=5, ge=0)
    clip: PositiveFloat | None = None  # gradient norm, per optimizer
    ema: float | None = Field(default=None, gt=0, lt=1)  # decay of the generator's moving average


class EngineConfig(Section):
    """How the arithmetic is run; never what is computed, up to rounding."""

    precision: Literal["32", "bf16"] = "32"
    channels_last: bool = False
    compile: bool = False
    workers: int = Field(default=2, ge=0)

    @field_validator("precision", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value  # YAML reads 32 as a number


class LogConfig(Section):
    """How often, in steps, a run writes something down."""

    every: PositiveInt = 50
    samples: PositiveInt = 1000
    checkpoint: PositiveInt = 1000
    tensorboard: bool = True


class Recipe(Section):
    """Everything that decides what a training run does."""

    name: str
    about: str  # one line: what this row is, and of which paper
    method: Literal["contrastive"] = "contrastive"
    seed: int = Field(default=0, ge=0)
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    patches: PatchConfig = PatchConfig()
    gan: GanConfig = GanConfig()
    patch_nce: PatchNceConfig = PatchNceConfig()
    a2sp: A2spConfig = A2spConfig()
    pyramid: PyramidConfig = PyramidConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    data: DataConfig = DataConfig()
    optim: OptimConfig = OptimConfig()
    engine: EngineConfig = EngineConfig()
    log: LogConfig = LogConfig()

    @property
    def decay_start(self) -> float:
        """k: the training progress in [0, 1] at which the learning rate starts to decay."""
        return self.optim.epochs / (self.optim.epochs + self.optim.decay_epochs)

    def to_yaml(self) -> str:
        """Every field with its value, as YAML that ``load_recipe`` reads back to an equal recipe."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=110)


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("restain") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by its name or from a YAML file, apply overrides, and check it.

    Args:
        recipe: a shipped name (see ``recipe_names``) or the path of a YAML file.
        overrides: ``section.field=value`` strings, the value in YAML syntax.

    Raises:
        RestainError: no such recipe, unreadable YAML, an unknown field, or a value that is not allowed.
    """
    values = _read(recipe, seen=())
    for override in overrides:
        values = _merge(values, _parse_override(override))
    try:
        checked = Recipe.model_validate(values)
    except ValidationError as error:
        raise RestainError(f"recipe {recipe}: " + "; ".join(_explain(error))) from None
    if checked.diffusion.t_min > checked.diffusion.t_max:
        raise RestainError(
            f"recipe {recipe}: field diffusion.t_min is {checked.diffusion.t_min}; "
            f"expected at most diffusion.t_max, {checked.diffusion.t_max}"
        )
    if checked.diffusion.beta_start > checked.diffusion.beta_end:
        raise RestainError(
            f"recipe {recipe}: field diffusion.beta_start is {checked.diffusion.beta_start}; "
            f"expected at most diffusion.beta_end, {checked.diffusion.beta_end}"
        )
    if checked.optim.epochs + checked.optim.decay_epochs == 0:
        raise RestainError(f"recipe {recipe}: optim.epochs and optim.decay_epochs are both 0; expected an epoch")
    return checked


def differences(first: Recipe, second: Recipe) -> dict[str, tuple[Any, Any]]:
    """Dotted names of the fields that differ, with both values."""
    a, b = dict(_flatten(first.model_dump())), dict(_flatten(second.model_dump()))
    return {field: (a[field], b[field]) for field in a if a[field] != b[field]}


def _flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read(recipe: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    name = str(recipe)
    if name in seen:
        raise RestainError(f"recipe {name} extends itself: {' -> '.join((*seen, name))}")
    if name in recipe_names():
        content = (resources.files("restain") / "recipes" / f"{name}.yaml").read_bytes()
    elif Path(recipe).is_file():
        content = Path(recipe).read_bytes()
    else:
        raise RestainError(f"no recipe named {name} and no such file; recipes: {', '.join(recipe_names())}")
    try:
        values = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeError) as error:
        raise RestainError(f"recipe {name}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, dict):
        raise RestainError(f"recipe {name}: holds {type(values).__name__}; expected fields with values")
    base = values.pop("extends", None)
    if base is None:
        return values
    if base not in recipe_names():
        base = Path(name).parent / str(base)  # a file beside the one that names it
    return _merge(_read(base, (*seen, name)), values)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _parse_override(override: str) -> dict[str, Any]:
    field, equals, text = override.partition("=")
    if not equals or not field:
        raise RestainError(f"override {override!r}: expected section.field=value, such as optim.lr=1e-4")
    try:
        value: Any = yaml.safe_load(text)
    except yaml.YAMLError:
        raise RestainError(f"override {override!r}: the value is not valid YAML") from None
    for key in reversed(field.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        path = [str(part) for part in problem["loc"]]
        field = ".".join(path)
        if problem["type"] == "extra_forbidden":
            yield f"unknown field {field}; allowed here: {', '.join(_allowed(path[:-1]))}"
        elif problem["type"] == "missing":
            yield f"field {field} is missing"
        else:
            message = problem["msg"][0].lower() + problem["msg"][1:]
            yield f"field {field} is {problem['input']!r}; {message}"


def _allowed(path: Sequence[str]) -> list[str]:
    model: Any = Recipe
    for part in path:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
