"""Least-squares adversarial objectives (Mao et al. 2017), exactly as Eq. 6 and Eq. 7."""

from __future__ import annotations

from torch import Tensor

from restain.tensors import full_precision


def discriminator_terms(score_fake: Tensor, score_real: Tensor) -> tuple[Tensor, Tensor]:
    """The two halves of Eq. 6, each with its 1/2: E[(D(fake) - 0)^2] / 2 and E[(D(real) - 1)^2] / 2."""
    fake, real = full_precision(score_fake), full_precision(score_real)
    return fake.square().mean() / 2, (real - 1).square().mean() / 2


def generator_term(score_fake: Tensor) -> Tensor:
    """Eq. 7: E[(D(fake) - 1)^2]."""
    return (full_precision(score_fake) - 1).square().mean()
