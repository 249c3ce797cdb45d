"""Comparison of pixels, one by one."""

import numpy as np
import pytest
import torch

from restain.losses.reconstruction import l1_loss, low_resolution_l1


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


def test_low_resolution_l1_compares_the_means_of_blocks() -> None:
    stream = np.random.default_rng(1)
    a, b = stream.uniform(-1, 1, (2, 2, 3, 8, 12))
    blocks = (a - b).reshape(2, 3, 2, 4, 3, 4).mean(axis=(3, 5))
    found = low_resolution_l1(torch.from_numpy(a), torch.from_numpy(b), 4)
    assert found.item() == pytest.approx(np.abs(blocks).mean(), rel=1e-12)


def test_low_resolution_l1_forgives_a_shift_within_a_block_that_l1_does_not() -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[..., 5:7, 5:7] = 1
    moved = image.roll((-1, 1), dims=(2, 3))
    assert low_resolution_l1(image, moved, 8).item() == 0 < l1_loss(image, moved).item()


def test_an_image_counts_by_its_weight() -> None:
    stream = np.random.default_rng(2)
    a, b = (torch.from_numpy(x) for x in stream.uniform(-1, 1, (2, 3, 3, 8, 8)))
    weights = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64)
    for loss in (l1_loss, lambda *args: low_resolution_l1(*args[:2], 2, *args[2:])):
        alone = [loss(a[n : n + 1], b[n : n + 1]).item() for n in range(3)]
        assert loss(a, b, weights).item() == pytest.approx((alone[0] + alone[1] / 4) / 3, rel=1e-12)
