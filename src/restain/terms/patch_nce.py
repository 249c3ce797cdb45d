"""PatchNCE (CUT): patches of the translated image against those of its source at the same places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from restain.losses.contrastive import info_nce
from restain.terms.patches import PatchEmbedder
from restain.types import RandomStreams


class PatchNce:
    """The content term: uniform locations, all pairs of equal weight."""

    def __init__(self, patches: PatchEmbedder) -> None:
        self._patches = patches

    def __call__(self, queries: Sequence[Tensor], keys: Sequence[Tensor], streams: RandomStreams) -> Tensor:
        """Mean InfoNCE over layers and locations.

        Args:
            queries: features (N, C_l, H_l, W_l) of the translated images, one per layer.
            keys: features of their sources, likewise; they get no gradient.
            streams: one random stream per image.
        """
        v, u = self._patches.embed(queries, keys, self._patches.uniform(keys, streams))
        tau = self._patches.config.tau
        return torch.stack([info_nce(q, k, tau).mean() for q, k in zip(v, u, strict=True)]).mean()
