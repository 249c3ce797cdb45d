"""A2SP, the attention-guided adaptive supervised patch loss (Eq. 1-3), of which ASP's patch loss is a case."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from restain.losses.contrastive import adaptive_weights, info_nce, trust
from restain.sampling import attention_map, draw_locations, tissue_prior
from restain.terms.config import A2spConfig
from restain.terms.patches import PatchEmbedder
from restain.types import RandomStreams


class A2sp:
    """Patches of the virtual IHC against those of the real IHC at the same places."""

    def __init__(self, config: A2spConfig, patches: PatchEmbedder) -> None:
        self._config, self._patches = config, patches

    def __call__(
        self,
        queries: Sequence[Tensor],
        keys: Sequence[Tensor],
        target: Tensor,
        streams: RandomStreams,
        *,
        progress: float,
        decay_start: float,
    ) -> Tensor:
        """The loss of Eq. 3.

        Args:
            queries: features (N, C_l, H_l, W_l) of the virtual IHC, one per layer.
            keys: features of the real IHC, likewise; they get no gradient.
            target: the real IHC, image tensor.
            streams: one random stream per image.
            progress: share of the training that is done.
            decay_start: share at which the learning rate starts to decay.
        """
        if self._config.locations == "attention":
            maps = self.attention(keys, target)
            locations = [draw_locations(map_, self._patches.config.count, streams) for map_ in maps]
        else:
            locations = self._patches.uniform(keys, streams)
        p = trust(self._config.schedule, progress, decay_start)
        losses = []
        for v, u in zip(*self._patches.embed(queries, keys, locations), strict=True):
            theta = adaptive_weights((u * v).sum(dim=-1), p, self._config.lookup)
            losses.append((theta * info_nce(v, u, self._patches.config.tau)).mean())  # Eq. 2
        return torch.stack(losses).mean()  # Eq. 3

    def attention(self, keys: Sequence[Tensor], target: Tensor) -> list[Tensor]:
        """A_l of Eq. 1 for each layer: (N, H_l, W_l), each image's map summing to 1."""
        maps = [attention_map(feature) for feature in keys]
        if self._config.tissue_prior:
            priors = (tissue_prior(target, (map_.shape[1], map_.shape[2])) for map_ in maps)
            maps = [map_ * prior for map_, prior in zip(maps, priors, strict=True)]
            maps = [map_ / map_.sum(dim=(1, 2), keepdim=True).clamp_min(1e-12) for map_ in maps]
        return maps
