"""The run folder: everything that a training run writes down for a person to read later.

RUN/recipe.yaml  environment.json  data.json  logs/  samples/  attention/  checkpoints/  stainer/
"""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restain.data.records import Manifest
from restain.files import write_json
from restain.images import RGB, write_png
from restain.tensors import to_rgb, to_tensor


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run."""

    root: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.root / "checkpoints"

    @property
    def stainer(self) -> Path:
        """The finished product."""
        return self.root / "stainer"

    def write_environment(self, device: str, world: int) -> None:
        """Record versions, hardware, the code's git state and the command."""
        write_json(
            self.root / "environment.json",
            {
                "restain": metadata.version("restain"),
                "python": platform.python_version(),
                "torch": torch.__version__,
                "platform": platform.platform(),
                "device": device,
                "processes": world,
                "threads": torch.get_num_threads(),
                "git": git_state(Path(__file__).parent),
                "command": " ".join(sys.argv),
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that holds ``folder`` and whether it has changes; None outside a checkout."""
    try:
        commit, status = (
            subprocess.run(["git", "-C", folder, *command], capture_output=True, text=True, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit.strip(), "dirty": bool(status.strip())}


@dataclass(frozen=True)
class Previews:
    """A few fields that are looked at throughout a run: centre crops of one size, image tensors on the CPU."""

    ids: list[str]
    source: Tensor
    target: Tensor

    def write_grid(self, path: Path, virtual: Tensor) -> None:
        """A PNG with a row per field: H&E | virtual | real, separated by white lines."""
        rows = []
        for images in zip(self.source, virtual, self.target, strict=True):
            cells = [np.pad(to_rgb(image), ((0, 4), (0, 4), (0, 0)), constant_values=255) for image in images]
            rows.append(np.concatenate(cells, axis=1))
        write_png(path, np.concatenate(rows, axis=0))

    def write_attention(self, folder: Path, maps: Mapping[int, Tensor]) -> None:
        """The IHC fields and, per layer, their attention maps as grey PNGs, 255 where most attended."""
        for row, name in enumerate(self.ids):
            stem = name.replace("/", "_")
            if maps:
                write_png(folder / f"{stem}-ihc.png", to_rgb(self.target[row]))
            for layer, attention in maps.items():
                share = attention[row] / attention[row].max().clamp_min(1e-12)
                grey = (share * 255).round().to(torch.uint8).cpu().numpy()
                write_png(folder / f"{stem}-layer{layer:02d}.png", grey)


def find_previews(manifest: Manifest, count: int = 4, side: int = 512) -> Previews | None:
    """The first fields that are not trained on, or else of training; None where no H&E has its IHC."""
    for split in ("val", "test", "train"):
        records = manifest.pairs(split)[:count]
        if records:
            source, target = (
                [image.read() for record in records if (image := getattr(record, name))]
                for name in ("source", "target")
            )
            height, width = (min(side, *(image.shape[axis] for image in source + target)) for axis in (0, 1))
            centres = (
                torch.stack([to_tensor(_centre(image, height, width)) for image in images])
                for images in (source, target)
            )
            return Previews([record.id for record in records], *centres)
    return None


def _centre(image: RGB, height: int, width: int) -> RGB:
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
