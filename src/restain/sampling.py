"""Where patches are taken: the attention map of Eq. 1 and draws of locations without replacement."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.types import RandomStreams


def attention_map(feature: Tensor) -> Tensor:
    """A_l(h, w) = L2 norm of f_l(K^R) over channels, scaled to sum 1 (Eq. 1).

    Args:
        feature: (N, C, H, W), features of the real IHC.

    Returns:
        (N, H, W), no gradient, each image's map summing to 1.
    """
    # Written out, since torch's own norm over a strided axis takes 30 times as long on a CPU.
    magnitude = feature.detach().float().square().sum(dim=1).sqrt()
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
    tissue = (-light.log10().mean(dim=1, keepdim=True) > threshold).float()
    border = (size[0] - image.shape[-2]) // 2
    padded = border > 0
    prior = F.pad(tissue, (border,) * 4, mode="reflect") if padded else F.adaptive_avg_pool2d(tissue, size)
    empty = prior.sum(dim=(2, 3), keepdim=True) == 0
    return torch.where(empty, torch.ones_like(prior), prior).squeeze(1)


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
