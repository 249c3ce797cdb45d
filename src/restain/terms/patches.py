"""What PatchNCE and A2SP share: where patches are drawn, and how their features are embedded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from restain.networks.projector import PatchProjector
from restain.sampling import draw_locations
from restain.terms.config import PatchesConfig
from restain.types import RandomStreams


class PatchEmbedder:
    """The projection heads F with their settings.

    Args:
        config: layers, patches per layer, temperature.
        projector: F; its parameters belong to whoever made it.
    """

    def __init__(self, config: PatchesConfig, projector: PatchProjector) -> None:
        self.config, self._projector = config, projector

    def embed(
        self, queries: Sequence[Tensor], keys: Sequence[Tensor], locations: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """F at the same locations of both: queries with a gradient, keys without.

        Returns:
            (v, u), each one tensor (N, P_l, dim) per layer, L2-normalised.
        """
        # Queries first: autocast caches the narrowed weights of its first use, and under no_grad they have no gradient.
        v = self._projector(queries, locations)
        with torch.no_grad():
            u = self._projector(keys, locations)
        return v, u

    def uniform(self, features: Sequence[Tensor], streams: RandomStreams) -> list[Tensor]:
        """Locations in each layer, drawn uniformly without replacement."""
        maps = (feature.new_ones(feature.shape[0], *feature.shape[2:], dtype=torch.float32) for feature in features)
        return [draw_locations(flat, self.config.count, streams) for flat in maps]
