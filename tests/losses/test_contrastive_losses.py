"""InfoNCE, the schedules and look-ups of theta, against loops in float64 written from the formulas."""

import math

import numpy as np
import pytest
import torch

from restain.losses.contrastive import Lookup, Schedule, adaptive_weights, info_nce, trust

TAU = 0.07
RNG = np.random.default_rng


def _unit(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    x = RNG(seed).normal(size=shape)
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True))


def _info_nce(query: np.ndarray, keys: np.ndarray, positive: int, tau: float) -> float:
    """-log exp(v.u+ / tau) / (exp(v.u+ / tau) + sum over the other locations of exp(v.u- / tau))."""
    similar = math.exp(float(query @ keys[positive]) / tau)
    others = sum(math.exp(float(query @ key) / tau) for i, key in enumerate(keys) if i != positive)
    return -math.log(similar / (similar + others))


def test_info_nce_is_the_formula() -> None:
    queries, keys = _unit(0, (2, 7, 5)), _unit(1, (2, 7, 5))
    expected = [[_info_nce(queries[n, i], keys[n], i, TAU) for i in range(7)] for n in range(2)]

    found = info_nce(torch.from_numpy(queries), torch.from_numpy(keys), TAU)

    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_info_nce_compares_a_query_with_keys_and_not_a_key_with_queries() -> None:
    queries = torch.from_numpy(_unit(2, (1, 6, 4)))
    keys = torch.from_numpy(_unit(3, (1, 6, 4)))
    assert not torch.allclose(info_nce(queries, keys, TAU), info_nce(keys, queries, TAU))


def test_negatives_come_from_the_same_image_only() -> None:
    queries, keys = (torch.from_numpy(_unit(seed, (2, 6, 4))) for seed in (4, 5))
    together = info_nce(queries, keys, TAU)
    alone = torch.cat([info_nce(queries[n : n + 1], keys[n : n + 1], TAU) for n in range(2)])
    torch.testing.assert_close(together, alone, rtol=1e-14, atol=0)


def test_info_nce_of_indistinguishable_patches_is_log_n() -> None:
    same = torch.from_numpy(_unit(6, (1, 1, 8))).expand(1, 16, 8)
    torch.testing.assert_close(info_nce(same, same, TAU), torch.full((1, 16), math.log(16.0), dtype=torch.float64))


def test_gradient_of_info_nce_is_that_of_the_formula_and_keys_get_none() -> None:
    queries = torch.from_numpy(_unit(7, (1, 5, 3))).requires_grad_()
    keys = torch.from_numpy(_unit(8, (1, 5, 3))).requires_grad_()

    info_nce(queries, keys, TAU).sum().backward()

    assert keys.grad is None
    u = keys.detach().numpy()[0]
    for i, v in enumerate(queries.detach().numpy()[0]):
        softmax = np.exp(u @ v / TAU) / np.exp(u @ v / TAU).sum()
        expected = (softmax @ u - u[i]) / TAU  # d/dv of -v.u_i/tau + log sum exp(v.u/tau)
        np.testing.assert_allclose(queries.grad[0, i].numpy(), expected, rtol=1e-10, atol=1e-12)


def test_autocast_does_not_reach_the_logits() -> None:
    queries, keys = (torch.from_numpy(_unit(seed, (1, 64, 32))).float() for seed in (9, 10))
    with torch.autocast("cpu", torch.bfloat16):
        inside = info_nce(queries, keys, TAU)
    torch.testing.assert_close(inside, info_nce(queries, keys, TAU), rtol=0, atol=0)


# p(t) at t = 0, 0.25, 0.5, 0.9, 1 with k = 0.8, by hand
@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [1.0, 0.75, 0.5, 0.1, 0.0]),
        ("sigmoid", [0.9933071490757153, 0.9241418199787566, 0.5, 0.01798620996209156, 0.006692850924284856]),
        ("lambda", [1.0, 1.0, 1.0, 0.5, 0.0]),
        ("zero", [1.0] * 5),
    ],
)
def test_trust_by_hand(schedule: Schedule, expected: list[float]) -> None:
    found = [trust(schedule, t, decay_start=0.8) for t in (0.0, 0.25, 0.5, 0.9, 1.0)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_lambda_is_continuous_where_the_decay_starts_and_stays_one_without_decay() -> None:
    k = 40 / 45
    assert trust("lambda", k, k) == 1.0
    assert trust("lambda", k + 1e-9, k) == pytest.approx(1.0, abs=1e-7)
    assert [trust("lambda", t, 1.0) for t in (0.0, 0.5, 1.0)] == [1.0, 1.0, 1.0]


def _lookup(name: Lookup, s: float) -> float:
    if name == "linear":
        return max(0.0, s)
    if name == "top":
        return math.sqrt(1 - (max(0.0, s) - 1) ** 2)
    if name == "bell":
        z = 4 * (s - 0.5)
        return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return 1.0


@pytest.mark.parametrize("lookup", ["linear", "top", "bell", "uniform"])
@pytest.mark.parametrize("p", [1.0, 0.7, 0.25, 0.0])
def test_theta_is_its_definition(lookup: Lookup, p: float) -> None:
    similarity = RNG(11).uniform(-1, 1, (2, 9))
    expected = np.empty((2, 9))
    for n in range(2):
        raw = [p * 1.0 + (1.0 - p) * _lookup(lookup, s) for s in similarity[n]]
        expected[n] = [9 * w / sum(raw) for w in raw]

    theta = adaptive_weights(torch.from_numpy(similarity), p, lookup).numpy()

    np.testing.assert_allclose(theta, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(theta.mean(axis=1), 1.0, rtol=1e-12)


@pytest.mark.parametrize("lookup", ["linear", "top", "bell", "uniform"])
def test_theta_is_uniform_where_p_is_one(lookup: Lookup) -> None:
    similarity = torch.from_numpy(RNG(12).uniform(-1, 1, (3, 20)))
    assert torch.equal(adaptive_weights(similarity, 1.0, lookup), torch.ones(3, 20, dtype=torch.float64))


def test_theta_trusts_the_similar_pair_more_and_the_opposed_one_not_at_all() -> None:
    theta = adaptive_weights(torch.tensor([[0.9, 0.3, -0.5, 0.0]]), 0.0, "linear")
    torch.testing.assert_close(theta, torch.tensor([[3.0, 1.0, 0.0, 0.0]]))


@pytest.mark.parametrize("lookup", ["linear", "top"])
def test_theta_falls_back_to_uniform_where_nothing_is_similar(lookup: Lookup) -> None:
    theta = adaptive_weights(torch.tensor([[-0.2, -1.0, -0.9], [0.0, 0.5, 0.5]]), 0.0, lookup)
    assert torch.equal(theta[0], torch.ones(3))
    assert theta[1].mean().item() == pytest.approx(1.0)


def test_theta_carries_no_gradient() -> None:
    similarity = torch.rand(1, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert not adaptive_weights(similarity, 0.5, "linear").requires_grad
