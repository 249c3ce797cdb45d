"""InfoNCE and ASP's weights against loops over the formulas in float64; InfoNCE itself is computed in float32."""

import math

import numpy as np
import pytest
import torch

from restain.losses.contrastive import adaptive_weights, info_nce, trust


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    vectors = rng.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def loop_info_nce(queries: np.ndarray, keys: np.ndarray, tau: float) -> np.ndarray:
    images, patches, _ = queries.shape
    losses = np.zeros((images, patches))
    for n in range(images):
        for i in range(patches):
            logits = [float(queries[n, i] @ keys[n, j]) / tau for j in range(patches)]
            losses[n, i] = -math.log(math.exp(logits[i]) / sum(math.exp(value) for value in logits))
    return losses


def test_info_nce_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    queries, keys = unit(rng, 2, 7, 5), unit(rng, 2, 7, 5)
    found = info_nce(torch.tensor(queries), torch.tensor(keys), 0.07)
    np.testing.assert_allclose(found.numpy(), loop_info_nce(queries, keys, 0.07), rtol=1e-5, atol=1e-6)


def test_negatives_come_from_the_same_image_only() -> None:
    rng = np.random.default_rng(1)
    queries, keys = torch.tensor(unit(rng, 2, 6, 4)), torch.tensor(unit(rng, 2, 6, 4))
    together = info_nce(queries, keys, 0.07)
    for n in range(2):
        alone = info_nce(queries[n : n + 1], keys[n : n + 1], 0.07)
        torch.testing.assert_close(together[n : n + 1], alone)


def test_the_gradient_reaches_queries_and_never_keys() -> None:
    rng = np.random.default_rng(2)
    queries = torch.tensor(unit(rng, 1, 6, 4), requires_grad=True)
    keys = torch.tensor(unit(rng, 1, 6, 4), requires_grad=True)
    info_nce(queries, keys, 0.07).sum().backward()
    assert keys.grad is None
    assert queries.grad is not None and queries.grad.abs().sum() > 0


def test_equal_vectors_give_the_logarithm_of_the_number_of_patches() -> None:
    vectors = torch.ones(1, 9, 4) / 2
    torch.testing.assert_close(info_nce(vectors, vectors, 0.07), torch.full((1, 9), math.log(9)))


@pytest.mark.parametrize(
    ("schedule", "progress", "expected"),
    [
        ("linear", 0.3, 0.7),
        ("sigmoid", 0.5, 0.5),
        ("sigmoid", 0.8, 1 / (1 + math.exp(3))),
        ("lambda", 0.74, 1.0),
        ("lambda", 0.75, 1.0),
        ("lambda", 0.9, 0.4),
        ("zero", 0.99, 1.0),
    ],
)
def test_trust_schedules(schedule: str, progress: float, expected: float) -> None:
    assert trust(schedule, progress, decay_start=0.75) == pytest.approx(expected)


def test_lambda_without_decay_epochs_stays_uniform() -> None:
    assert trust("lambda", 0.999, decay_start=1.0) == 1.0


LOOKED_UP = {
    "linear": lambda s: max(s, 0.0),
    "top": lambda s: math.sqrt(1 - (max(s, 0.0) - 1) ** 2),
    "bell": lambda s: math.exp(-((4 * (s - 0.5)) ** 2) / 2) / math.sqrt(2 * math.pi),
    "uniform": lambda s: 1.0,
}


@pytest.mark.parametrize("lookup", LOOKED_UP)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_theta_is_its_definition_with_mean_one(lookup: str, p: float) -> None:
    similarity = np.random.default_rng(3).uniform(-1, 1, (2, 11))
    raw = np.array([[p + (1 - p) * LOOKED_UP[lookup](s) for s in row] for row in similarity])
    expected = raw / raw.sum(axis=1, keepdims=True) * raw.shape[1]
    theta = adaptive_weights(torch.tensor(similarity), p, lookup)
    np.testing.assert_allclose(theta.numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(theta.numpy().mean(axis=1), 1.0)
    if p == 1:
        np.testing.assert_array_equal(theta.numpy(), 1.0)


def test_theta_carries_no_gradient_and_survives_total_disagreement() -> None:
    similarity = torch.full((1, 4), -0.5, requires_grad=True)
    theta = adaptive_weights(similarity, 0.0, "linear")
    assert not theta.requires_grad
    torch.testing.assert_close(theta, torch.ones(1, 4))
