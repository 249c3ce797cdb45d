"""``--json``: one JSON object on standard output, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import typer
from pydantic import BaseModel


def print_json(**fields: object) -> None:
    """Print the fields as one JSON object."""
    typer.echo(json.dumps(plain(fields), indent=2, ensure_ascii=False, allow_nan=False))


def plain(value: object) -> Any:
    """A value as JSON knows it: records become objects, paths text, and what is not finite becomes null."""
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)
