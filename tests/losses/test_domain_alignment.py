"""Discrepancy and contrast by class against sums over pairs, written out."""

import math

import pytest
import torch

from restain.losses.domain_alignment import class_nce, weighted_mmd


def unit(*shape: int, seed: int) -> torch.Tensor:
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values / values.norm(dim=-1, keepdim=True)


def test_the_discrepancy_is_the_double_sum_over_those_that_count() -> None:
    x, y = unit(4, 3, seed=0), unit(6, 3, seed=1)
    weights = torch.tensor([1.0, 0, 1, 1, 0, 0])
    sigma = 0.7
    shown = [row for row, weight in zip(y.tolist(), weights.tolist(), strict=True) if weight]

    def mean(first: list, second: list) -> float:
        total = sum(math.exp(-(math.dist(a, b) ** 2) / (2 * sigma**2)) for a in first for b in second)
        return total / len(first) / len(second)

    by_hand = mean(x.tolist(), x.tolist()) + mean(shown, shown) - 2 * mean(x.tolist(), shown)
    assert weighted_mmd(x, y, weights, sigma).item() == pytest.approx(by_hand, rel=1e-9)
    assert weighted_mmd(x, x, torch.ones(4)).item() == pytest.approx(0, abs=1e-12)
    x.requires_grad_()
    nothing = weighted_mmd(x, y, torch.zeros(6))
    nothing.backward()
    assert nothing.item() == 0 and x.grad is not None and x.grad.isfinite().all()


def test_the_contrast_takes_the_own_class_for_positive() -> None:
    queries, own, other = unit(3, 5, seed=2).requires_grad_(), unit(4, 5, seed=3), unit(4, 5, seed=4)
    weights, tau = (torch.tensor([1.0, 1, 0, 0]), torch.tensor([1.0, 0, 1, 1])), 0.2
    total = 0.0
    for query in queries.tolist():
        means = []
        for keys, weight in zip((own, other), weights, strict=True):
            cosines = [sum(a * b for a, b in zip(query, key, strict=True)) for key in keys.tolist()]
            kept = [math.exp(c / tau) for c, w in zip(cosines, weight.tolist(), strict=True) if w]
            means.append(sum(kept) / len(kept))
        total -= math.log(means[0] / sum(means))
    assert class_nce(queries, own, other, weights, tau).item() == pytest.approx(total / 3, rel=1e-6)
    for absent in ((torch.zeros(4), torch.ones(4)), (torch.ones(4), torch.zeros(4))):
        nothing = class_nce(queries, own, other, absent, tau)
        (gradient,) = torch.autograd.grad(nothing, queries)
        assert nothing.item() == 0 and gradient.isfinite().all()
