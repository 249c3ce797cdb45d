"""The files that a comparison keeps of itself: what each holds, and how it is read. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from restain.errors import RestainError
from restain.files import read_json

Record = TypeVar("Record", bound=BaseModel)


class _FileModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cost(_FileModel):
    """What a system costs, measured before its training; the content of ``cost.json``."""

    seconds_per_step: float  # median
    peak_memory_mb: float | None  # of the process on a CPU, else of PyTorch on the GPU; None where it is not known
    parameters: int  # of the stainer
    parameters_trained: int  # of all networks that the training holds
    macs_512: float  # of the stainer, for an image of 512 x 512 pixels
    mpx_per_second: float  # of the stainer
    images_per_step: int
    device: str
    threads: int
    recipe_sha256: str  # of what decides the cost and the training, as ``Plan.recipe_sha256``


class JobRecord(_FileModel):
    """What became of one training; the content of ``job.json``."""

    status: Literal["done", "failed"]
    reason: str = ""  # of a failure, one sentence
    steps: int | None = None  # of a training that is done


class PlanRecord(_FileModel):
    """What must be the same when a comparison is continued; the content of ``bench.json``."""

    data: str
    fingerprint: str
    budget: str | None
    batch: int | None
    small: bool
    overrides: tuple[str, ...]
    split: str


class EvaluationRecord(_FileModel):
    """What an evaluation was asked for, and with which weights; the content of ``evaluation/asked.json``."""

    truth: str | None
    protocol: str
    metrics: tuple[str, ...]
    groups: str
    compare_with: str | None
    weights: dict[str, dict[str, str]]  # by learned metric, as in ``summary.json``


def read_record(path: Path, model: type[Record]) -> Record:
    """Read one of these files.

    Raises:
        RestainError: it was written by another version, or damaged.
    """
    content = read_json(path)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise RestainError(
            f"{path}: was not written by this version of restain bench ({field}: {first['msg']})"
        ) from None
