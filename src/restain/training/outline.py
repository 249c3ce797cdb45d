"""What a training is about to do, in a few lines: printed before it starts, and by ``restain train --dry-run``."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from restain.run_folder import RunFolder
from restain.training.loop import Trainer
from restain.training.validation import held_out

NO_STAIN = "not set; data.stain=NAME names it in the stainer"
NO_MPP = "not set; restain slide needs it: set data.mpp to the microns per pixel of the images"


@dataclass(frozen=True, kw_only=True)
class Outline:
    """What is known before the first step."""

    recipe: str
    data: str
    layout: str
    training_images: int
    paired: bool
    held_out: int  # pairs to validate on
    device: str
    processes: int
    precision: str
    crop: int  # pixels
    first_step: int  # steps that are done
    steps: int  # in all
    epochs: float
    division: str  # of a step's images
    stain: str | None
    mpp: float | None
    out: str
    samples: int  # steps between two sheets
    validation: int  # steps between two; 0: none

    def lines(self) -> list[str]:
        """A name and a value on each line."""
        images = f"{self.training_images} {'pairs' if self.paired else 'images of each side, unpaired'}"
        checked = f"every {self.validation} steps on" if self.validation else "never on"
        found = {
            "recipe": self.recipe,
            "data": f"{self.data} (layout {self.layout}): {images}, {self.held_out} held-out pairs",
            "stain": self.stain or NO_STAIN,
            "resolution": f"{self.mpp:g} µm/px" if self.mpp else NO_MPP,
            "device": f"{self.device}, {self.processes} process{'es' if self.processes > 1 else ''}, "
            f"precision {self.precision}",
            "steps": f"{self._span()}, {self.epochs:.3g} epochs, {self.division}, crops of {self.crop} px",
            "samples": f"{self.out}/samples, every {self.samples} steps",
            "validation": f"{checked} the held-out pairs" if self.held_out else "none: there are no held-out pairs",
            "out": self.out,
        }
        width = max(map(len, found))
        return [f"{name:{width}}  {value}" for name, value in found.items()]

    def _span(self) -> str:
        return f"{self.first_step} of {self.steps} done" if self.first_step else str(self.steps)


def outline_of(trainer: Trainer, run: RunFolder) -> Outline:
    """The outline of a training that has been prepared."""
    recipe, manifest, optim = trainer.recipe, trainer.manifest, trainer.recipe.optim
    division = [str(optim.batch), *([f"{optim.accumulate} accumulated"] if optim.accumulate > 1 else [])]
    if trainer.processes.count > 1:
        division.append(f"{trainer.processes.count} processes")
    return Outline(
        recipe=recipe.name,
        data=str(manifest.root),
        layout=manifest.layout,
        training_images=len(trainer.dataset),
        paired=recipe.data.paired,
        held_out=len(held_out(manifest)),
        device=device_name(trainer.fabric.device),
        processes=trainer.processes.count,
        precision=recipe.engine.precision,
        crop=recipe.data.crop,
        first_step=trainer.step,
        steps=trainer.total,
        epochs=trainer.total / trainer.steps_per_epoch,
        division=f"{trainer.images_per_step} images per step"
        + (f" ({' x '.join(division)})" if len(division) > 1 else ""),
        stain=recipe.data.stain,
        mpp=recipe.data.mpp,
        out=str(run.root),
        samples=recipe.log.samples,
        validation=recipe.validation.every,
    )


def device_name(device: torch.device) -> str:
    """What a run's records call a device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
