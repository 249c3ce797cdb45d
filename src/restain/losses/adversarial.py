"""Adversarial objectives on maps of scores, and the gradient penalty R1.

Least squares (Mao et al. 2017; Eq. 6-7), vanilla (Goodfellow et al. 2014) and hinge (Lim and Ye 2017). Both halves of a
discriminator's loss carry the factor 1/2 of Eq. 6, as CUT, CycleGAN and pix2pix train.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.tensors import full_precision

GanMode: TypeAlias = Literal["lsgan", "vanilla", "hinge"]

MIDDLE: dict[GanMode, float] = {"lsgan": 0.5, "vanilla": 0.0, "hinge": 0.0}  # score midway between fake and real


def discriminator_terms(score_fake: Tensor, score_real: Tensor, mode: GanMode = "lsgan") -> tuple[Tensor, Tensor]:
    """The two halves of the discriminator's loss, each with its 1/2.

    lsgan: E[(D(fake) - 0)^2] / 2 and E[(D(real) - 1)^2] / 2 (Eq. 6). vanilla: binary cross-entropy of the logits.
    hinge: E[max(0, 1 + D(fake))] / 2 and E[max(0, 1 - D(real))] / 2.
    """
    return _distance(score_fake, 0.0, mode) / 2, _distance(score_real, 1.0, mode) / 2


def generator_term(score_fake: Tensor, mode: GanMode = "lsgan") -> Tensor:
    """lsgan: E[(D(fake) - 1)^2] (Eq. 7). vanilla: -E[log sigmoid(D(fake))], non-saturating. hinge: -E[D(fake)]."""
    if mode == "hinge":
        return -full_precision(score_fake).mean()
    return _distance(score_fake, 1.0, mode)


def r1_penalty(scores: Tensor, images: Tensor) -> Tensor:
    """E[|grad D(x)|^2] on real images, summed over the pixels of x (Mescheder et al. 2018), for a map of scores.

    Each score of a patch discriminator is a discriminator of its own patch. The gradient of the sum of the scores,
    squared, summed over pixels and divided by the number of scores, is the mean penalty of one of them where their
    gradients are independent, and the usual penalty where there is one score.

    Args:
        scores: D(x), (N, 1, h, w), with a graph.
        images: x, (N, 3, H, W), from which the graph starts.

    Returns:
        scalar, the mean over images, which can be differentiated once more.
    """
    (gradient,) = torch.autograd.grad(full_precision(scores).sum(), images, create_graph=True)
    return full_precision(gradient).square().sum(dim=(1, 2, 3)).mean() / scores[0].numel()


def _distance(score: Tensor, label: float, mode: GanMode) -> Tensor:
    full = full_precision(score)
    if mode == "lsgan":
        return (full - label).square().mean()
    towards = full if label else -full  # what is to be large
    if mode == "hinge":
        return F.relu(1 - towards).mean()
    return F.softplus(-towards).mean()  # -log sigmoid(x), or -log(1 - sigmoid(x))
