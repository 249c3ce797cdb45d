"""The projection heads F_l: features at sampled locations -> unit vectors of a shared space."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from restain.networks.layers import initialised
from restain.tensors import full_precision


class PatchProjector(nn.Module):
    """One head Linear(C_l, dim), ReLU, Linear(dim, dim) per contrastive layer, then L2 normalisation.

    Built from the channel counts, never lazily on a first batch (Sec. 3; CUT's ``mlp_sample``). The heads start at
    unit gain: their output is normalised, so a small one would change no embedding and only inflate the first
    gradients, which Adam's second moment then remembers for thousands of steps.
    """

    def __init__(self, channels: Sequence[int], dim: int = 256, gain: float = 1.0) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(initialised(nn.Linear(width, dim), gain), nn.ReLU(), initialised(nn.Linear(dim, dim), gain))
            for width in channels
        )

    def forward(self, features: Sequence[Tensor], locations: Sequence[Tensor]) -> list[Tensor]:
        """Embed the features found at ``locations``.

        Args:
            features: one map (N, C_l, H_l, W_l) per layer.
            locations: one index tensor (N, P_l) per layer, into the flattened H_l * W_l.

        Returns:
            one tensor (N, P_l, dim) per layer, L2-normalised along the last axis.
        """
        return [
            F.normalize(full_precision(head(gather(feature, index))), dim=-1)
            for head, feature, index in zip(self.heads, features, locations, strict=True)
        ]


def gather(feature: Tensor, index: Tensor) -> Tensor:
    """Feature vectors at flat locations: (N, C, H, W) and (N, P) -> (N, P, C)."""
    flat = feature.flatten(2)
    picked = flat.gather(2, index[:, None, :].expand(-1, flat.shape[1], -1))
    return picked.transpose(1, 2)
