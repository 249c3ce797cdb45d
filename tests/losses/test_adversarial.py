"""Eq. 6 and Eq. 7 against plain numpy."""

import numpy as np
import torch

from restain.losses.adversarial import discriminator_terms, generator_term


def test_least_squares_objectives() -> None:
    rng = np.random.default_rng(0)
    fake, real = rng.normal(size=(2, 1, 3, 4)), rng.normal(size=(2, 1, 3, 4))
    expected = 0.5 * (np.mean((fake - 0) ** 2) + np.mean((real - 1) ** 2))  # Eq. 6
    halves = discriminator_terms(torch.tensor(fake), torch.tensor(real))
    np.testing.assert_allclose(sum(half.item() for half in halves), expected, rtol=1e-6)
    np.testing.assert_allclose(generator_term(torch.tensor(fake)).item(), np.mean((fake - 1) ** 2), rtol=1e-6)  # Eq. 7


def test_the_ideal_scores_cost_nothing() -> None:
    zero, one = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    assert sum(discriminator_terms(zero, one)) == 0
    assert generator_term(one) == 0
