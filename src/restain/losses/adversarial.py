"""Adversarial objectives on maps of scores: least squares (Mao et al. 2017; Eq. 6-7) and vanilla (Goodfellow 2014).

Both halves of a discriminator's loss carry the factor 1/2 of Eq. 6, as CUT, CycleGAN and pix2pix train.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch.nn.functional as F
from torch import Tensor

from restain.tensors import full_precision

GanMode: TypeAlias = Literal["lsgan", "vanilla"]


def discriminator_terms(score_fake: Tensor, score_real: Tensor, mode: GanMode = "lsgan") -> tuple[Tensor, Tensor]:
    """The two halves of the discriminator's loss, each with its 1/2.

    lsgan: E[(D(fake) - 0)^2] / 2 and E[(D(real) - 1)^2] / 2 (Eq. 6). vanilla: binary cross-entropy of the logits.
    """
    return _distance(score_fake, 0.0, mode) / 2, _distance(score_real, 1.0, mode) / 2


def generator_term(score_fake: Tensor, mode: GanMode = "lsgan") -> Tensor:
    """lsgan: E[(D(fake) - 1)^2] (Eq. 7). vanilla: -E[log sigmoid(D(fake))], the non-saturating form."""
    return _distance(score_fake, 1.0, mode)


def _distance(score: Tensor, label: float, mode: GanMode) -> Tensor:
    full = full_precision(score)
    if mode == "lsgan":
        return (full - label).square().mean()
    return F.softplus(-full if label else full).mean()  # -log sigmoid(x), or -log(1 - sigmoid(x))
