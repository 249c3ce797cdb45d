"""Eq. 6 and Eq. 7, one score at a time."""

import numpy as np
import torch

from restain.losses.adversarial import discriminator_terms, generator_term, r1_penalty


def _scores(seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0.4, 0.7, (2, 1, 5, 4)))


def test_discriminator_objective_is_eq_6() -> None:
    fake, real = _scores(0), _scores(1)
    from_fake = from_real = 0.0
    for score in fake.flatten().tolist():
        from_fake += (score - 0.0) ** 2
    for score in real.flatten().tolist():
        from_real += (score - 1.0) ** 2
    expected = 0.5 * (from_fake / fake.numel() + from_real / real.numel())

    on_fake, on_real = discriminator_terms(fake, real)

    np.testing.assert_allclose(on_fake.item() + on_real.item(), expected, rtol=1e-13)
    np.testing.assert_allclose(on_fake.item(), 0.5 * from_fake / fake.numel(), rtol=1e-13)


def test_generator_objective_is_eq_7() -> None:
    fake = _scores(2)
    expected = sum((score - 1.0) ** 2 for score in fake.flatten().tolist()) / fake.numel()
    np.testing.assert_allclose(generator_term(fake).item(), expected, rtol=1e-13)


def test_perfect_scores_cost_nothing() -> None:
    zeros, ones = torch.zeros(1, 1, 3, 3), torch.ones(1, 1, 3, 3)
    assert [term.item() for term in discriminator_terms(zeros, ones)] == [0.0, 0.0]
    assert generator_term(ones).item() == 0.0


def test_half_precision_scores_are_squared_in_full() -> None:
    score = torch.full((1, 1, 64, 64), 1.0078125, dtype=torch.bfloat16)  # 1 + 2^-7, exact in bfloat16
    assert generator_term(score).item() == 2.0**-14


def test_vanilla_objectives_are_binary_cross_entropy_on_logits() -> None:
    fake, real = 20 * _scores(3), 20 * _scores(4)  # far out too, where exp overflows in float32
    cross_entropy = torch.nn.BCEWithLogitsLoss()
    on_fake, on_real = discriminator_terms(fake, real, "vanilla")
    expected = (cross_entropy(fake, torch.zeros_like(fake)) / 2, cross_entropy(real, torch.ones_like(real)) / 2)
    np.testing.assert_allclose([on_fake.item(), on_real.item()], [value.item() for value in expected], rtol=1e-10)
    np.testing.assert_allclose(
        generator_term(fake, "vanilla").item(), cross_entropy(fake, torch.ones_like(fake)).item(), rtol=1e-10
    )


def test_vanilla_gradients_are_those_of_binary_cross_entropy() -> None:
    found, expected = (_scores(5).requires_grad_() for _ in range(2))
    generator_term(found, "vanilla").backward()
    torch.nn.functional.binary_cross_entropy(expected.sigmoid(), torch.ones_like(expected)).backward()
    torch.testing.assert_close(found.grad, expected.grad, rtol=1e-10, atol=0)


def test_vanilla_scores_far_out_stay_finite() -> None:
    score = torch.tensor([-1e4, 1e4], dtype=torch.float32)
    assert generator_term(score, "vanilla").item() == 5e3
    assert [term.item() for term in discriminator_terms(score, score, "vanilla")] == [2.5e3, 2.5e3]


def test_hinge_objectives_cost_what_lies_within_the_margin() -> None:
    fake, real = _scores(6), _scores(7)
    on_fake, on_real = discriminator_terms(fake, real, "hinge")
    expected = [sum(max(0.0, 1 + sign * x) for x in s.flatten().tolist()) for s, sign in ((fake, 1), (real, -1))]
    np.testing.assert_allclose([on_fake.item(), on_real.item()], np.array(expected) / 2 / fake.numel(), rtol=1e-12)
    np.testing.assert_allclose(generator_term(fake, "hinge").item(), -fake.mean().item(), rtol=1e-12)


def test_r1_of_a_linear_score_is_the_sum_of_its_squared_weights() -> None:
    weights = torch.randn(1, 3, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights.requires_grad_()
    images = torch.rand(4, 3, 6, 5, dtype=torch.float64, requires_grad=True)
    penalty = r1_penalty(torch.nn.functional.conv2d(images, weights), images)
    torch.testing.assert_close(penalty, weights.square().sum())
    penalty.backward()
    torch.testing.assert_close(weights.grad, 2 * weights.detach())


def test_r1_of_patches_apart_is_the_mean_over_patches() -> None:
    weights = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    images.requires_grad_()
    scores = torch.nn.functional.conv2d(images, weights, stride=2).square()  # gradient: 2 score_linear * weights
    linear = torch.nn.functional.conv2d(images.detach(), weights, stride=2)
    expected = (4 * linear.square() * weights.square().sum()).mean()
    torch.testing.assert_close(r1_penalty(scores, images), expected)
