"""Earlier virtual images that a discriminator is shown again (Shrivastava et al. 2017, as CycleGAN uses it)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restain.types import RandomStreams


class ImagePool(nn.Module):
    """A fixed number of images; part of a checkpoint, and the same on every process.

    Until the pool is full each image is shown and kept. Then, half of the time, a kept image is shown and the new one
    takes its place; otherwise the new one is shown and not kept.

    Args:
        size: images kept.
        side: of an image, pixels.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, side: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, 3, side, side))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def show(self, fakes: Tensor, streams: RandomStreams) -> tuple[Tensor, Tensor]:
        """What the discriminator is shown in place of ``fakes``, image by image.

        Args:
            fakes: (N, 3, side, side), detached.
            streams: one random stream per image.

        Returns:
            images like ``fakes``, and for each the place in the pool that it comes from, -1 where it is the fake
            itself: int64 (N,). Give both to ``keep`` after the step.
        """
        draws = torch.stack([torch.rand(2, generator=g, device=g.device) for g in streams])
        size = len(self.images)
        place = (draws[:, 1] * size).long().clamp(max=size - 1)
        again = (draws[:, 0] < 0.5) & (self.count >= size)
        shown = torch.where(again[:, None, None, None], self.images[place].to(fakes.dtype), fakes)
        return shown, torch.where(again, place, torch.full_like(place, -1))

    @torch.no_grad()
    def keep(self, fakes: Tensor, places: Tensor) -> None:
        """Take in the fakes of a step, in order, as ``show`` decided; nothing here waits for the device."""
        size = len(self.images)
        for fake, place in zip(fakes, places, strict=True):
            filling = self.count < size
            into = torch.where(filling, self.count, place.clamp(min=0))
            self.images[into] = torch.where(filling | (place >= 0), fake.to(self.images.dtype), self.images[into])
            self.count += filling
