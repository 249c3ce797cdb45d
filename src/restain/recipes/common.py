"""Sections of a recipe that every method shares. No torch."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveFloat, field_validator, model_validator

from restain.schedules import Schedule
from restain.sections import Betas, Line, Section

MANY = 10**9  # steps; more is a slip of the pen
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]


class DataConfig(Section):
    """What is read from the data folder, and what the images are."""

    paired: bool = Field(True, description="whether H&E and IHC of a field are read together")
    scale: float = Field(
        1.0,
        ge=0.25,
        le=4,
        description="enlarges each training image before the crop; 286/256 in pix2pix and CycleGAN",
    )
    crop: int = Field(512, ge=16, le=8192, description="side of a training crop, pixels")
    flip: bool = Field(True, description="mirror half of the crops left to right")
    turns: bool = Field(False, description="turn each crop by 0 to 3 quarters, both images of a pair alike")
    jitter: tuple[Share, Share, Share] = Field(
        (0.0, 0.0, 0.0),
        description="brightness, contrast and saturation of the H&E alone: each scaled by a factor from 1 ± this share",
    )
    stain_jitter: Share = Field(
        0.0, description="haematoxylin and eosin of the H&E alone: each amount scaled by a factor from 1 ± this share"
    )
    pair_weights: bool = Field(
        True, description="let a pair count by its weight in the manifest wherever its two images are compared"
    )
    min_weight: Share = Field(0.0, description="leave out training pairs of less weight")
    target: str = Field("B", description="which IHC of a folder that holds several: B for trainB, B_weak, ...")
    stain: Line | None = Field(None, description="name of the marker, for the stainer and its model card")
    mpp: float | None = Field(None, ge=0.01, le=100, description="microns per pixel of the training images")


class OptimConfig(Section):
    """Adam and its schedule: ``lr`` for ``epochs``, then a decay over ``decay_epochs``."""

    lr: float = Field(2e-4, gt=0, le=100, description="learning rate")
    betas: Betas = Field((0.5, 0.999), description="momentum terms of Adam")
    batch: int = Field(1, ge=1, le=65_536, description="images per process and pass")
    accumulate: int = Field(1, ge=1, le=65_536, description="passes whose gradients make one step")
    epochs: int = Field(40, ge=0, le=1_000_000, description="epochs before the decay of the learning rate")
    decay_epochs: int = Field(5, ge=0, le=1_000_000, description="epochs of the decay")
    steps: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="length of the run in steps, in place of epochs; the decay keeps its share of the run",
    )
    schedule: Schedule = Field(Schedule(), description="form of the decay")
    clip: PositiveFloat | None = Field(None, description="largest gradient norm of each phase")
    ema: float | None = Field(None, gt=0, lt=1, description="decay of the moving average of the stainer's weights")

    @model_validator(mode="after")
    def _some_training(self) -> OptimConfig:
        if self.epochs + self.decay_epochs == 0:
            raise ValueError("fields optim.epochs and optim.decay_epochs are both 0; expected an epoch")
        return self


class EngineConfig(Section):
    """How the arithmetic is run; never what is computed, up to rounding."""

    precision: Literal["32", "bf16"] = Field(
        "32",
        description="float32, or bfloat16 where it is safe",
        json_schema_extra={"enum": ["32", "bf16", 32], "type": ["string", "integer"]},  # YAML reads 32 as a number
    )
    channels_last: bool = Field(False, description="memory layout of feature maps")
    compile: bool = Field(False, description="compile the networks with torch.compile")
    workers: int = Field(2, ge=0, le=1024, description="processes that read images")

    @field_validator("precision", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value


class LogConfig(Section):
    """How often, in steps, a run writes something down, and where."""

    every: int = Field(50, ge=1, le=MANY, description="steps between two lines of the log")
    samples: int = Field(1000, ge=1, le=MANY, description="steps between two sheets of samples")
    checkpoint: int = Field(1000, ge=1, le=MANY, description="steps between two checkpoints")
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",), description="where the log also goes, beside the CSV file"
    )


class ValidationConfig(Section):
    """Scores on held-out fields during training; no field of the val or test split is ever trained on."""

    every: int = Field(1000, ge=0, le=MANY, description="steps between two validations; 0: none")
    fields: int = Field(32, ge=1, le=1_000_000, description="held-out fields, spread over the split")
    crops: int = Field(
        64, ge=1, le=100_000, description="training crops on which the norms' statistics are measured for it"
    )
    best: Literal["dab_error", "dab_r", "ssim"] = Field("dab_error", description="score that names the best checkpoint")
    patience: int | None = Field(
        None,
        ge=1,
        le=MANY,
        description="stop after so many validations without a new best; by default a run is never stopped",
    )
