"""``config.json`` of a stainer folder: one schema for the writer and every reader. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, PositiveInt, ValidationError

from restain.appearance import Appearance
from restain.errors import RestainError, in_short, quoted
from restain.files import read_json, write_text
from restain.networks.specs import GeneratorSpec
from restain.sections import Line, Section

VERSION: Literal["2.0"] = "2.0"
_READ = ("1.0", VERSION)
_LARGEST = 2**20  # bytes

Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Value: TypeAlias = str | int | float | bool | None


class CalibrationRecord(Section):
    """On what the statistics were measured that a stainer's norms are fixed to."""

    statistics_sha256: Sha256 | None  # of statistics.safetensors; None where the weights hold them, or none are needed
    crops: PositiveInt
    side: PositiveInt  # of a crop, pixels
    date: Line
    data: Line | None  # name of the data set
    fingerprint: Line | None  # of its files
    appearance: Appearance


class StainerConfig(Section):
    """What a stainer says of itself."""

    spec_version: Literal["2.0"] = VERSION
    restain: Line  # version that wrote it
    generator: GeneratorSpec
    stain: Line | None  # name of the marker
    mpp: Annotated[float, Field(gt=0, le=1000)] | None  # microns per pixel of the training images
    tile_size: Annotated[int, Field(ge=1, le=2**16)]  # side of the training crops in pixels
    recipe: Line
    trained: dict[str, Value]  # how: steps, pairs, data fingerprint, hardware, ...
    weights_sha256: Sha256
    calibration: CalibrationRecord | None = None


def read_config(path: Path) -> StainerConfig:
    """Read and check a ``config.json``; one of version 1.0 comes back as what it means in 2.0.

    Raises:
        RestainError: it cannot be read, is of an unknown version, or has a field that is missing, unknown or wrong.
    """
    values = read_json(path, _LARGEST)
    try:
        version = values.get("spec_version")
        if version not in _READ:
            raise ValueError(f"spec_version is {quoted(version)}, expected one of {', '.join(_READ)}")
        return StainerConfig.model_validate_json(json.dumps(_as_current(values)), strict=True)
    except ValidationError as error:
        raise RestainError(f"{path}: is not a stainer's configuration ({first_problem(error)})") from None
    except (ValueError, RecursionError) as error:
        raise RestainError(f"{path}: is not a stainer's configuration ({in_short(error)})") from None


def write_config(path: Path, config: StainerConfig) -> None:
    """Write a ``config.json``, whole or not at all."""
    write_text(path, config.model_dump_json(indent=2) + "\n")


def _as_current(values: dict[str, Any]) -> dict[str, Any]:
    """Version 1.0 knew one architecture, in ``architecture``: an anti-aliased ResNet with folded weights."""
    if values["spec_version"] == VERSION:
        return values
    rest = {key: value for key, value in values.items() if key != "architecture"}
    shape = values.get("architecture")
    if not isinstance(shape, dict) or shape.get("name") != "resnet":
        raise ValueError(f"architecture is {shape!r}, expected one of name 'resnet'")
    numbers = {key: value for key, value in shape.items() if key != "name"}
    return rest | {"spec_version": VERSION, "generator": {"kind": "resnet", "spectral_norm": False, **numbers}}


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, in half a sentence: field, value, expectation."""
    problem = error.errors()[0]
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"field {field} is missing"
    if problem["type"] == "extra_forbidden":
        return f"field {field} is unknown"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"field {field} is {quoted(problem['input'])}; {message}"
