"""The networks of ODA-GAN that take features apart: orthogonal heads, and masks over their channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import orthogonal

from restain.networks.norms import ImageNorm
from restain.networks.projector import gather

_SIDE = 32  # pixels to which a feature map is brought before a mask is read off it


class OrthogonalProjector(nn.Module):
    """One head of two linear maps with orthonormal rows or columns, and a ReLU between, for each contrastive layer."""

    def __init__(self, channels: Sequence[int], dim: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                orthogonal(nn.Linear(width, dim, bias=False)), nn.ReLU(), orthogonal(nn.Linear(dim, dim, bias=False))
            )
            for width in channels
        )

    def at(self, features: Sequence[Tensor], locations: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings (N, P_l, dim) of maps (N, C_l, H_l, W_l) at locations (N, P_l), not normalised."""
        return [
            cast(Tensor, head(gather(feature, index)))
            for head, feature, index in zip(self.heads, features, locations, strict=True)
        ]

    def maps(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings of whole maps brought to 32 x 32: (N, dim, 32, 32) for each layer."""
        pooled = [F.adaptive_avg_pool2d(feature, _SIDE) for feature in features]
        return [head(small.movedim(1, -1)).movedim(-1, 1) for head, small in zip(self.heads, pooled, strict=True)]


class Decoupler(nn.Module):
    """For each layer, which channels of an embedding tell the label: a mask in (0, 1), and two classifiers.

    Three depth-wise convolutions (4x4, padding 1, stride 2), each with a norm and a leaky ReLU, give the mask. One
    classifier sees what the mask keeps, the other what it drops.
    """

    def __init__(self, layers: int, dim: int, classes: int) -> None:
        super().__init__()
        self.masks = nn.ModuleList(
            nn.Sequential(
                *(
                    part
                    for _ in range(3)
                    for part in (nn.Conv2d(dim, dim, 4, 2, 1, groups=dim), ImageNorm(), nn.LeakyReLU(0.2))
                )
            )
            for _ in range(layers)
        )
        self.levels = nn.ParameterList(nn.Parameter(torch.zeros(dim)) for _ in range(layers))
        self.kept = nn.ModuleList(nn.Linear(dim, classes) for _ in range(layers))
        self.dropped = nn.ModuleList(nn.Linear(dim, classes) for _ in range(layers))

    def mask(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Embeddings (N, dim, 32, 32) of each layer -> masks (N, dim)."""
        return [
            torch.sigmoid(branch(embedded).mean(dim=(2, 3)) + level)
            for branch, embedded, level in zip(self.masks, maps, self.levels, strict=True)
        ]

    def losses(self, maps: Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the label from what the masks keep, and from what they drop, means over layers.

        The second classifier learns what it can; the masks learn to leave it nothing (a reversed gradient).

        Args:
            maps: embeddings (N, dim, 32, 32) of each layer, without a graph.
            labels: (N,), int64.
        """
        kept, dropped = [], []
        for layer, (embedded, mask) in enumerate(zip(maps, self.mask(maps), strict=True)):
            mean = embedded.mean(dim=(2, 3))
            kept.append(F.cross_entropy(self.kept[layer](mask * mean), labels))
            dropped.append(F.cross_entropy(self.dropped[layer](_reversed(1 - mask) * mean), labels))
        return torch.stack(kept).mean(), torch.stack(dropped).mean()


def _reversed(x: Tensor) -> Tensor:
    """x, whose gradient changes its sign (Ganin and Lempitsky 2015)."""
    return 2 * x.detach() - x
