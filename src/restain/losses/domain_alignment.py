"""Losses that compare features with those of earlier images, by class (ODA-GAN, Wang et al. 2025)."""

from __future__ import annotations

import torch
from torch import Tensor

from restain.tensors import full_precision


def weighted_mmd(x: Tensor, y: Tensor, weights: Tensor, sigma: float = 1.0) -> Tensor:
    """Squared maximum mean discrepancy of two sets under the kernel exp(-|a - b|^2 / (2 sigma^2)), biased form.

    Args:
        x: features (P, d); the gradient goes here.
        y: features (M, d).
        weights: of ``y``, (M,), 0 or 1; the result is 0 where all are 0.
        sigma: width of the kernel.

    Source: Gretton et al., A kernel two-sample test (2012), Eq. 5.
    """
    x = full_precision(x)
    y, weights = y.to(x.dtype), weights.to(x.dtype)
    share = weights / weights.sum().clamp_min(1)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        # Squared distances by products: a square root has no gradient at 0.
        squares = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * a @ b.T
        return torch.exp(squares.clamp_min(0) / (-2 * sigma**2))

    found = kernel(x, x).mean() + share @ kernel(y, y) @ share - 2 * (kernel(x, y) @ share).mean()
    return found * (weights.sum() > 0)


def class_nce(queries: Tensor, own: Tensor, other: Tensor, weights: tuple[Tensor, Tensor], tau: float) -> Tensor:
    """InfoNCE with the features of the own class as positives and those of the other as negatives.

    No feature of the own class is pushed away: -log(mean_own / (mean_own + mean_other)) of exp(cosine / tau).

    Args:
        queries: (P, d), L2-normalised; the gradient goes here.
        own: (M, d), L2-normalised.
        other: (M, d), L2-normalised.
        weights: of own and other, (M,) each, 0 or 1; the result is 0 where all of either are 0.
        tau: temperature.

    Returns:
        scalar, the mean over queries.
    """
    logs = []
    for keys, weight in zip((own, other), weights, strict=True):
        cosine = full_precision(queries) @ full_precision(keys).T / tau
        masked = cosine.masked_fill(weight == 0, -1e9)
        logs.append(masked.logsumexp(dim=1) - weight.sum().clamp_min(1).log())
    both = torch.stack(logs)
    present = torch.stack([weight.sum() > 0 for weight in weights]).all()
    return torch.where(present, (both.logsumexp(dim=0) - both[0]).mean(), queries.sum() * 0)
