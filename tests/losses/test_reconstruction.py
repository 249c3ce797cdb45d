"""Comparison of pixels, one by one."""

import numpy as np
import pytest
import torch

from restain.losses.reconstruction import l1_loss


def test_l1_is_the_mean_absolute_difference() -> None:
    stream = np.random.default_rng(0)
    a, b = stream.uniform(-1, 1, (2, 2, 3, 5, 4))
    total = sum(abs(float(x) - float(y)) for x, y in zip(a.flat, b.flat, strict=True))
    assert l1_loss(torch.from_numpy(a), torch.from_numpy(b)).item() == pytest.approx(total / a.size, rel=1e-13)


def test_l1_gradient_is_the_sign_over_the_count() -> None:
    a = torch.tensor([[0.5, -0.25], [0.0, 1.0]], dtype=torch.float64, requires_grad=True)
    l1_loss(a, torch.zeros(2, 2, dtype=torch.float64)).backward()
    assert a.grad is not None and a.grad.tolist() == [[0.25, -0.25], [0.0, 0.25]]


def test_half_precision_is_compared_in_full() -> None:
    a = torch.full((1, 3, 64, 64), 1.0078125, dtype=torch.bfloat16)  # 1 + 2^-7, exact in bfloat16
    assert l1_loss(a, torch.ones_like(a)).item() == 2.0**-7
