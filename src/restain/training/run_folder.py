"""The run folder: everything that a training run writes down for a person to read later.

RUN/recipe.yaml  environment.json  data.json  logs/  samples/  attention/  checkpoints/  stainer/
"""

from __future__ import annotations

import csv
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
from restain.files import write_aside, write_json
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

    @property
    def log(self) -> Path:
        """The training log, one row per logging interval."""
        return self.root / "logs" / "train.csv"

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


class TrainingLog:
    """Rows of numbers by step: a CSV always, TensorBoard beside it by default.

    Opening it at a step drops the rows after that step, so a resumed run continues the log that belongs to its
    checkpoint.
    """

    def __init__(self, path: Path, step: int, tensorboard: bool) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _keep_rows(path, step)
        self._writer: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(path.parent / "tensorboard"), purge_step=step + 1)

    def write(self, row: Mapping[str, float]) -> None:
        """Append one row; the first row of a log fixes its columns."""
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow({key: value if isinstance(value, int) else f"{value:.6g}" for key, value in row.items()})
        if self._writer is not None:
            for key in row.keys() - {"step"}:
                self._writer.add_scalar(key, row[key], int(row["step"]))

    def close(self) -> None:
        """Flush what is buffered."""
        if self._writer is not None:
            self._writer.close()


def _keep_rows(path: Path, step: int) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [row for row in rows if float(row["step"]) <= step]
    if not kept:
        path.unlink()
    elif len(kept) < len(rows):
        with write_aside(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(kept)


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
