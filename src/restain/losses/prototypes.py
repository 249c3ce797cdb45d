"""Consistency of prototypes across two images: PSPStain's CTPC."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.tensors import full_precision

_LEAST_MASS = 1e-5  # pixels: a class that is nowhere has a prototype of about 0


def prototypes(features: Tensor, shares: Tensor) -> Tensor:
    """The mean feature of each class: features (N, C, H, W), shares (N, K, H, W) of the classes -> (N, K, C)."""
    sums = torch.einsum("nchw,nkhw->nkc", features, shares)
    return sums / (shares.sum(dim=(2, 3)) + _LEAST_MASS)[..., None]


def prototype_loss(
    features: tuple[Tensor, Tensor],
    shares: tuple[Tensor, Tensor],
    masks: tuple[Tensor, Tensor],
    *,
    softmax_twice: bool,
) -> Tensor:
    """Classify the pixels of each image by the prototypes of the other one, and compare with its own mask.

    A pixel's score for a class is the cosine of its feature and the prototype; a softmax over classes follows, and
    cross-entropy.

    Args:
        features: (N, C, H, W) of the virtual and of the real images.
        shares: (N, K, H, W), how much each pixel belongs to each class.
        masks: int64 (N, H, W), the class of each pixel.
        softmax_twice: let the cross-entropy take the probabilities for scores, as the released code does.

    Returns:
        scalar: the mean over both directions, images and pixels.
    """
    with torch.autocast(features[0].device.type, enabled=False):
        features = full_precision(features[0]), full_precision(features[1])
        means = [prototypes(map_, full_precision(share)) for map_, share in zip(features, shares, strict=True)]
        losses = []
        for map_, other, mask in zip(features, reversed(means), masks, strict=True):
            cosine = torch.einsum("nchw,nkc->nkhw", F.normalize(map_, dim=1), F.normalize(other, dim=2))
            losses.append(F.cross_entropy(cosine.softmax(dim=1) if softmax_twice else cosine, mask))
        return torch.stack(losses).mean()
