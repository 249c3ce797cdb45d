"""Where patches are taken: the attention map of Eq. 1 and draws of locations without replacement."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.types import RandomStreams


def attention_map(feature: Tensor, power: float = 1.0) -> Tensor:
    """A_l(h, w) = L2 norm of f_l(K^R) over channels, scaled to sum 1 (Eq. 1).

    Args:
        feature: (N, C, H, W), features of the real IHC.
        power: of the norm; 1 is the equation, more sharpens the map.

    Returns:
        (N, H, W), no gradient, each image's map summing to 1.
    """
    # Written out, since torch's own norm over a strided axis takes 30 times as long on a CPU.
    magnitude = feature.detach().float().square().sum(dim=1).sqrt().pow(power)
    return magnitude / magnitude.sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)


def tissue_prior(image: Tensor, size: tuple[int, int], threshold: float = 0.05) -> Tensor:
    """Share of tissue under each location of a feature map, by optical density.

    The padded RGB image is one of the paper's contrastive layers; there the norm of Eq. 1 is largest on white
    glass. Multiplying the map by this prior keeps the draws on tissue.

    Args:
        image: image tensor (N, 3, H, W).
        size: (h, w) of the feature map. Larger than the image means the generator's reflection padding.
        threshold: mean optical density above which a pixel is tissue.

    Returns:
        (N, h, w) in [0, 1]; 1 everywhere for an image that holds no tissue at all.
    """
    light = ((image.detach().float() + 1) / 2).clamp_min(1 / 255)
    return _at_locations((-light.log10().mean(dim=1) > threshold).float(), size)


def dab_prior(density: Tensor, size: tuple[int, int]) -> Tensor:
    """Mean optical density of DAB under each location of a feature map: draws go where the stain is.

    Args:
        density: of DAB in the real IHC, (N, H, W), >= 0.
        size: (h, w) of the feature map, see ``tissue_prior``.

    Returns:
        (N, h, w), >= 0; 1 everywhere for an image that holds no DAB at all.
    """
    return _at_locations(density.detach().float(), size)


def _at_locations(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of pixels (N, H, W) averaged at the locations of a feature map; 1 where an image has only zeros."""
    border = (size[0] - values.shape[-2]) // 2
    prior = F.pad(values, (border,) * 4, mode="reflect") if border > 0 else F.adaptive_avg_pool2d(values, size)
    empty = prior.sum(dim=(1, 2), keepdim=True) == 0
    return torch.where(empty, torch.ones_like(prior), prior)


def draw_locations(weights: Tensor, count: int, streams: RandomStreams) -> Tensor:
    """Multinomial sampling without replacement, each image from its own stream.

    Dividing by unit exponentials and keeping the largest is the same distribution as drawing one by one
    (Efraimidis and Spirakis 2006), needs no host round trip and takes maps of any size.

    Args:
        weights: (N, H, W), non-negative; a location of weight 0 is drawn only when no other is left.
        count: locations per image; all of them where the map holds fewer.
        streams: one random stream per image.

    Returns:
        int64 (N, min(count, H * W)), indices into the flattened map, no index twice in a row.
    """
    flat = weights.flatten(1)
    if flat.shape[1] <= count:
        return torch.arange(flat.shape[1], device=flat.device).expand(flat.shape[0], -1)
    uniform = torch.stack([torch.rand(flat.shape[1], generator=g, device=g.device) for g in streams])
    waits = -uniform.log()  # unit exponentials
    return (flat / waits).topk(count, dim=1, sorted=False).indices
