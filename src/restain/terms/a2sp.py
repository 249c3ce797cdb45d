"""A2SP, the attention-guided adaptive supervised patch loss (Eq. 1-3), of which ASP's patch loss is a case."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from restain.losses.averages import mean_of_images
from restain.losses.contrastive import adaptive_weights, info_nce, trust
from restain.losses.dab_amount import dab_optical_density
from restain.sampling import attention_map, dab_prior, draw_locations, tissue_prior
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
        weights: Tensor | None = None,
    ) -> Tensor:
        """The loss of Eq. 3.

        Args:
            queries: features (N, C_l, H_l, W_l) of the virtual IHC, one per layer.
            keys: features of the real IHC, likewise; they get no gradient.
            target: the real IHC, image tensor.
            streams: one random stream per image.
            progress: share of the training that is done.
            decay_start: share at which the learning rate starts to decay.
            weights: of the pairs, see ``mean_of_images``.
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
            losses.append(mean_of_images(theta * info_nce(v, u, self._patches.config.tau), weights))  # Eq. 2
        return torch.stack(losses).mean()  # Eq. 3

    def attention(self, keys: Sequence[Tensor], target: Tensor) -> list[Tensor]:
        """A_l of Eq. 1 for each layer, sharpened and under the priors: (N, H_l, W_l), each image's map summing to 1."""
        layers = self._patches.config.layers
        return [self._map(layer, feature, target) for layer, feature in zip(layers, keys, strict=True)]

    def _map(self, layer: int, feature: Tensor, target: Tensor) -> Tensor:
        config, size = self._config, (feature.shape[2], feature.shape[3])
        map_ = attention_map(feature, 0.0 if layer in config.uniform_layers else config.power)
        if config.tissue_prior:
            map_ = _normalised(map_ * tissue_prior(target, size))
        if config.dab_prior:
            map_ = _normalised(map_ * dab_prior(dab_optical_density(target), size))
        return map_


def _normalised(map_: Tensor) -> Tensor:
    return map_ / map_.sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)
