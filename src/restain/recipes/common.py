"""Sections of a recipe that every method shares. No torch."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from restain.schedules import Schedule
from restain.sections import Betas, Section

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
    jitter: tuple[Share, Share, Share] = Field(
        (0.0, 0.0, 0.0),
        description="brightness, contrast and saturation of the H&E alone: each scaled by a factor from 1 ± this share",
    )
    target: str = Field("B", description="which IHC of a folder that holds several: B for trainB, B_weak, ...")
    stain: str | None = Field(None, description="name of the marker, for the stainer and its model card")
    mpp: PositiveFloat | None = Field(None, description="microns per pixel of the training images")


class OptimConfig(Section):
    """Adam and its schedule: ``lr`` for ``epochs``, then a decay over ``decay_epochs``."""

    lr: PositiveFloat = Field(2e-4, description="learning rate")
    betas: Betas = Field((0.5, 0.999), description="momentum terms of Adam")
    batch: int = Field(1, ge=1, le=65_536, description="images per process and pass")
    accumulate: int = Field(1, ge=1, le=65_536, description="passes whose gradients make one step")
    epochs: int = Field(40, ge=0, le=1_000_000, description="epochs before the decay of the learning rate")
    decay_epochs: int = Field(5, ge=0, le=1_000_000, description="epochs of the decay")
    steps: PositiveInt | None = Field(
        None, description="length of the run in steps, in place of epochs; the decay keeps its share of the run"
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

    every: PositiveInt = Field(50, description="steps between two lines of the log")
    samples: PositiveInt = Field(1000, description="steps between two sheets of samples")
    checkpoint: PositiveInt = Field(1000, description="steps between two checkpoints")
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        ("tensorboard",), description="where the log also goes, beside the CSV file"
    )


class ValidationConfig(Section):
    """Scores on held-out fields during training; no field of the val or test split is ever trained on."""

    every: NonNegativeInt = Field(1000, description="steps between two validations; 0: none")
    fields: PositiveInt = Field(32, description="held-out fields, spread over the split")
    crops: PositiveInt = Field(64, description="training crops on which the norms' statistics are measured for it")
    best: Literal["dab_error", "dab_r", "ssim"] = Field("dab_error", description="score that names the best checkpoint")
    patience: PositiveInt | None = Field(
        None, description="stop after so many validations without a new best; by default a run is never stopped"
    )
