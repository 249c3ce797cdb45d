"""The words that modules share; the one place that says what an image tensor is.

An *image tensor* is float, shape (N, 3, H, W), RGB in [-1, 1]: -1 is black, +1 is white glass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NewType, TypeAlias

if TYPE_CHECKING:
    import torch

Mpp = NewType("Mpp", float)  # microns per pixel

RandomStreams: TypeAlias = "Sequence[torch.Generator]"
"""One random stream per image of a batch. What is drawn for an image then depends on that image's own seed
alone, so a batch of two equals two batches of one, on one machine or on two."""


@dataclass(frozen=True)
class Batch:
    """Images of one training step."""

    source: torch.Tensor  # H&E, image tensor
    target: torch.Tensor  # IHC, image tensor; the same field of view as source where the data are paired
    ids: tuple[str, ...]
    seeds: tuple[int, ...]  # one per image: where all its random draws of this step start
    maps: Mapping[str, torch.Tensor] = field(default_factory=dict)  # (N, 1, H, W) in [0, 1], where a method needs any
    weights: torch.Tensor | None = None  # (N,) in [0, 1], how much a pair counts where it is compared; None: all alike
    labels: tuple[str, ...] = ()  # of each H&E, what its manifest says it shows; "" where it says nothing
    target_labels: tuple[str, ...] = ()  # of each IHC; those of the H&E where the data are paired

    def to(self, device: torch.device, channels_last: bool = False) -> Batch:
        """The same batch on another device."""
        import torch

        layout = torch.channels_last if channels_last else torch.contiguous_format
        source, target = (
            image.to(device, non_blocking=True, memory_format=layout) for image in (self.source, self.target)
        )
        maps = {name: values.to(device, non_blocking=True) for name, values in self.maps.items()}
        weights = None if self.weights is None else self.weights.to(device, non_blocking=True)
        return replace(self, source=source, target=target, maps=maps, weights=weights)

    def pin_memory(self) -> Batch:
        """For the data loader: page-locked memory, from which copies to a GPU do not block."""
        maps = {name: values.pin_memory() for name, values in self.maps.items()}
        weights = None if self.weights is None else self.weights.pin_memory()
        source, target = self.source.pin_memory(), self.target.pin_memory()
        return replace(self, source=source, target=target, maps=maps, weights=weights)

    def streams(self, purpose: str) -> list[torch.Generator]:
        """One generator per image, on the images' device.

        A stream is asked for by name, so that what one term draws does not depend on which other terms there are.
        """
        import torch

        device = self.source.device
        return [torch.Generator(device).manual_seed(mix_seed(seed, purpose)) for seed in self.seeds]


def mix_seed(*parts: int | str) -> int:
    """Hash integers and names to a 63-bit seed, so that neighbouring inputs give unrelated random streams."""
    import hashlib

    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
