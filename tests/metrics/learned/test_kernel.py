"""The kernel distance by hand, by its expectation and against torchmetrics."""

import numpy as np
import pytest
import torch
from torchmetrics.image.kid import poly_mmd

from restain.metrics.learned.kernel import kernel_distance, kernel_distance_of_subsets, polynomial_kernel
from restain.metrics.statistics.bootstrap import NotComputed


def test_two_and_two_samples_by_hand() -> None:
    # d = 1, kernel (xy + 1)^3. Real 0, 1; fake 1, 2: k(0,1) = 1; k(1,2) = 27; across 1, 1, 8, 27.
    real, fake = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert kernel_distance(real, fake) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    assert polynomial_kernel(real, fake).tolist() == [[1.0, 1.0], [8.0, 27.0]]
    # d = 2: x·y is halved.
    assert polynomial_kernel(np.array([[1.0, 1.0]]), np.array([[2.0, 4.0]])).item() == 4.0**3


def test_it_equals_torchmetrics_on_the_same_features() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((50, 16)), generator.standard_normal((50, 16)) + 0.3
    theirs = poly_mmd(torch.from_numpy(x), torch.from_numpy(y), degree=3, gamma=None, coef=1.0)
    assert kernel_distance(x, y) == pytest.approx(float(theirs), rel=1e-9)


def test_blocks_and_order_do_not_move_it() -> None:
    generator = np.random.default_rng(1)
    x, y = generator.standard_normal((700, 8)), generator.standard_normal((600, 8)) + 0.2  # more than one block each
    kernel = ((x @ y.T / 8) + 1) ** 3
    of_x, of_y = ((x @ x.T / 8) + 1) ** 3, ((y @ y.T / 8) + 1) ** 3
    by_hand = (
        (of_x.sum() - np.trace(of_x)) / (700 * 699) + (of_y.sum() - np.trace(of_y)) / (600 * 599) - 2 * kernel.mean()
    )
    assert kernel_distance(x, y) == pytest.approx(by_hand, abs=1e-10)
    assert kernel_distance(x[::-1], y[generator.permutation(600)]) == pytest.approx(by_hand, abs=1e-10)


def test_it_is_unbiased_and_subsets_agree_with_the_whole() -> None:
    generator = np.random.default_rng(2)
    same = [kernel_distance(*generator.standard_normal((2, 20, 6))) for _ in range(600)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(600) and min(same) < 0
    x, y = generator.standard_normal((400, 6)), generator.standard_normal((400, 6)) + 0.5
    of_subsets = kernel_distance_of_subsets(x, y, seed=0, subsets=100, size=100)
    assert of_subsets.shape == (100,)
    assert of_subsets.mean() == pytest.approx(kernel_distance(x, y), abs=4 * of_subsets.std() / 10)
    np.testing.assert_array_equal(of_subsets, kernel_distance_of_subsets(x, y, seed=0, subsets=100, size=100))


def test_pairs_are_left_out_by_hand() -> None:
    real, fake = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])  # as above; pairs (0, 1) -> 1 and (1, 2) -> 27
    assert kernel_distance(real, fake, paired=True) == pytest.approx(1 + 27 - 2 * (1 + 8) / 2)


def test_identical_sets_are_at_0() -> None:
    x = np.random.default_rng(3).standard_normal((700, 6))
    assert abs(kernel_distance(x, x, paired=True)) < 1e-12
    # As if unpaired, the matching products count across but not within, which brings the estimate below 0.
    assert -0.1 < kernel_distance(x, x) < 0
    assert (
        kernel_distance_of_subsets(x[:50], x[:50], seed=0, subsets=100, size=100).std() < 1e-12
    )  # every subset is the whole set


def test_too_few_images() -> None:
    with pytest.raises(NotComputed, match="at least 2 images on each side, there are 1"):
        kernel_distance(np.zeros((1, 3)), np.zeros((5, 3)))
