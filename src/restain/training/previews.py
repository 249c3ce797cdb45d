"""A few fields that are looked at throughout a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restain.data.records import Manifest
from restain.images import RGB, write_png
from restain.names import file_names
from restain.tensors import to_rgb, to_tensor
from restain.types import Batch


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

    def as_batch(self, device: torch.device) -> Batch:
        """All fields at once."""
        return Batch(self.source, self.target, tuple(self.ids), tuple(range(len(self.ids)))).to(device)

    def write_maps(self, folder: Path, maps: Mapping[str, Tensor]) -> None:
        """The IHC of each field and its maps as grey PNGs, 255 where a map is largest; nothing without maps."""
        names = file_names(self.ids)
        for row, stem in enumerate(names[name] for name in self.ids if maps):
            write_png(folder / f"{stem}-ihc.png", to_rgb(self.target[row]))
            for title, values in maps.items():
                share = values[row] / values[row].max().clamp_min(1e-12)
                grey = (share * 255).round().to(torch.uint8).cpu().numpy()
                write_png(folder / f"{stem}-{title}.png", grey)


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
