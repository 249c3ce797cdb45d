"""A virtual image hidden among real ones: which of them it is, must not be found (Confusion-GAN, Li et al.)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.types import RandomStreams


class Confusion(nn.Module):
    """Real images of earlier steps, among which each virtual one takes a random place; part of a checkpoint.

    Until there are enough of them, the real image of the step itself takes the places that are empty.

    Args:
        slots: images that are looked at together.
        side: of an image, pixels.
    """

    images: Tensor
    count: Tensor

    def __init__(self, slots: int, side: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(slots, 3, side, side))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def features(
        self, fake: Tensor, real: Tensor, streams: RandomStreams, trunk: Callable[[Tensor], Tensor], *, learn: bool
    ) -> tuple[Tensor, Tensor]:
        """Features of all slots side by side, and which slot holds the virtual image.

        Args:
            fake: virtual images (N, 3, side, side).
            real: real images, likewise.
            streams: one random stream per image.
            trunk: images -> feature maps (C channels).
            learn: whether the trunk is trained; otherwise gradients reach the virtual images alone.

        Returns:
            (N, slots * C, h, w) and int64 (N,).
        """
        slots = len(self.images)
        place = torch.stack([torch.randint(slots, (), generator=g, device=g.device) for g in streams])
        filled = torch.arange(slots, device=fake.device) < self.count
        shown = torch.where(filled[:, None, None, None], self.images.to(real.dtype), real[:, None])  # (N, slots, ...)
        with torch.set_grad_enabled(learn and torch.is_grad_enabled()):
            others = trunk(shown.flatten(0, 1)).unflatten(0, shown.shape[:2])  # type: ignore[no-untyped-call]
        own = F.one_hot(place, slots).bool()[:, :, None, None, None]
        return torch.where(own, trunk(fake)[:, None], others).flatten(1, 2), place

    @torch.no_grad()
    def keep(self, real: Tensor) -> None:
        """Take in the real images of a step, in order, in the places of the oldest."""
        for image in real:
            self.images[self.count % len(self.images)] = image.to(self.images.dtype)
            self.count += 1


def confusion_loss(scores: Tensor, place: Tensor | None) -> Tensor:
    """Mean squared distance of the scores of all slots from their labels: 1 for real, 0 for virtual.

    Args:
        scores: (N, slots, h, w).
        place: of the virtual images, (N,); None where all are to be taken for real.
    """
    labels = torch.ones_like(scores)
    if place is not None:
        labels = labels.scatter(1, place[:, None, None, None].expand(-1, 1, *scores.shape[2:]), 0.0)
    return F.mse_loss(scores, labels)
