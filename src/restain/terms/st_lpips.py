"""ST-LPIPS as a loss: a perceptual distance that forgives small displacements and punishes blur and wrong colours."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.losses.averages import mean_of_images
from restain.metrics.learned.extractor import channel_weights, load_network
from restain.metrics.learned.lpips import lpips_distance
from restain.metrics.learned.preparation import LPIPS_SCALE, LPIPS_SHIFT
from restain.tensors import full_precision
from restain.terms.config import StLpipsConfig
from restain.weights import find_weights, load_weights


class StLpips:
    """The distance of the virtual from the real IHC, summed over resolutions; its network is fixed.

    Raises:
        RestainError: the weights are not on this machine; the message says how to get them.
    """

    def __init__(self, config: StLpipsConfig) -> None:
        held = find_weights(f"st-lpips-{config.network}")
        state = load_weights(held)
        self._config, self._network = config, load_network(held.file.name, state)
        self._heads = channel_weights(state)

    def __call__(self, fake: Tensor, real: Tensor, weights: Tensor | None = None) -> Tensor:
        """Scalar: the weighted sum over resolutions; the gradient goes to ``fake`` alone.

        Args:
            fake, real: image tensors (N, 3, H, W).
            weights: see ``mean_of_images``.
        """
        self._network.to(fake.device)
        heads = [head.to(fake.device) for head in self._heads]
        distances = []
        with torch.autocast(fake.device.type, enabled=False):
            for factor, share in self._config.scales:
                seen = self._network(_prepared(fake, factor))
                with torch.no_grad():
                    wanted = list(self._network(_prepared(real, factor)))
                distances.append(share * lpips_distance(seen, wanted, heads))
        return mean_of_images(torch.stack(distances).sum(dim=0), weights)


def _prepared(image: Tensor, factor: int) -> Tensor:
    """Averaged over blocks, with the shift and scale of LPIPS."""
    shift, scale = (image.new_tensor(values).float()[:, None, None] for values in (LPIPS_SHIFT, LPIPS_SCALE))
    return (F.avg_pool2d(full_precision(image), factor) - shift) / scale
