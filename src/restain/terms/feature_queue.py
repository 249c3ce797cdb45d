"""Features of the real images of earlier steps, by class (ODA-GAN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FeatureQueue(nn.Module):
    """The last features of each class, first in, first out; part of a checkpoint.

    Args:
        classes: how many.
        size: features kept of each class.
        dim: length of a feature.
    """

    features: Tensor
    count: Tensor

    def __init__(self, classes: int, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(classes, size, dim))
        self.register_buffer("count", torch.zeros(classes, dtype=torch.int64))

    def weights(self) -> Tensor:
        """1 where there is a feature, else 0: (classes, size)."""
        size = self.features.shape[1]
        return (torch.arange(size, device=self.count.device) < self.count[:, None]).float()

    @torch.no_grad()
    def keep(self, features: Tensor, classes: Tensor) -> None:
        """Take in the features (N, P, dim) of images of these classes (N,), in order; the oldest go."""
        size = self.features.shape[1]
        places = torch.arange(features.shape[1], device=features.device)
        for rows, kind in zip(features[:, -size:], classes, strict=True):
            self.features[kind, (self.count[kind] + places[: len(rows)]) % size] = rows.to(self.features.dtype)
            self.count[kind] += len(rows)
