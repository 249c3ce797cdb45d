"""InfoNCE over patches: CUT's PatchNCE and the adaptive supervised weights of ASP (Eq. 2-3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from restain.tensors import full_precision

Schedule: TypeAlias = Literal["linear", "sigmoid", "lambda", "zero"]
Lookup: TypeAlias = Literal["linear", "top", "bell", "uniform"]


def info_nce(queries: Tensor, keys: Tensor, tau: float) -> Tensor:
    """InfoNCE of each query against the keys of its own image; the key of the same index is the positive.

    Args:
        queries: (N, P, d), L2-normalised; the gradient goes here.
        keys: (N, P, d), L2-normalised; detached.
        tau: temperature.

    Returns:
        (N, P) losses.
    """
    # Autocast would take the product in half precision, and tau multiplies its error by 14.
    with torch.autocast(queries.device.type, enabled=False):
        cosine = full_precision(queries) @ full_precision(keys.detach()).transpose(1, 2)
    logits = cosine / tau  # (N, P, P)
    positives = torch.arange(logits.shape[1], device=logits.device).expand(logits.shape[0], -1)
    return F.cross_entropy(logits.transpose(1, 2), positives, reduction="none")


def trust(schedule: Schedule, progress: float, decay_start: float) -> float:
    """p(t), the share of uniform weight at training progress t in [0, 1] (ASP's schedulers).

    Args:
        schedule: ``linear`` 1 - t; ``sigmoid`` 1 / (1 + exp(10 (t - 0.5))); ``lambda`` 1 until the learning rate
            starts to decay at k, then (1 - t) / (1 - k); ``zero`` 1 throughout.
        progress: t.
        decay_start: k, only read by ``lambda``.
    """
    if schedule == "linear":
        return 1.0 - progress
    if schedule == "sigmoid":
        return 1.0 / (1.0 + math.exp(10.0 * (progress - 0.5)))
    if schedule == "lambda":
        return 1.0 if progress < decay_start or decay_start == 1.0 else (1.0 - progress) / (1.0 - decay_start)
    return 1.0


LOOKUPS: dict[Lookup, Callable[[Tensor], Tensor]] = {
    "linear": lambda s: s.relu(),
    "top": lambda s: (1 - (s.relu() - 1).square()).clamp_min(0).sqrt(),
    "bell": lambda s: torch.exp(-0.5 * (4 * (s - 0.5)).square()) / math.sqrt(2 * math.pi),
    "uniform": torch.ones_like,
}


def adaptive_weights(similarity: Tensor, p: float, lookup: Lookup) -> Tensor:
    """theta = p + (1 - p) * lookup(s), scaled to mean 1 over each image's set (Eq. 2, following ASP).

    Args:
        similarity: s, cosine of each pair of patches, (N, P); detached here.
        p: share of uniform weight, see ``trust``.
        lookup: what a similarity is worth.

    Returns:
        (N, P), mean 1 along the last axis; 1 throughout where every weight would be 0.
    """
    weight = p + (1.0 - p) * LOOKUPS[lookup](similarity.detach())
    mean = weight.mean(dim=-1, keepdim=True)
    return torch.where(mean > 0, weight / mean.clamp_min(1e-12), torch.ones_like(weight))
