"""Attention (Eq. 1) by a loop; draws against their distribution."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy import stats

from restain.sampling import attention_map, dab_prior, draw_locations, tissue_prior


def streams(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_attention_is_the_channel_norm_scaled_to_one() -> None:
    feature = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    expected = np.zeros((2, 4, 5))
    for n in range(2):
        for h in range(4):
            for w in range(5):
                expected[n, h, w] = np.sqrt(sum(feature[n, c, h, w] ** 2 for c in range(3)))
        expected[n] /= expected[n].sum()
    tensor = torch.tensor(feature, requires_grad=True)
    found = attention_map(tensor)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert not found.requires_grad


def test_one_draw_follows_the_weights() -> None:
    weights = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 0.0, 10.0]]])
    generator = streams(7)
    draws = 20_000
    counts = np.zeros(6)
    for _ in range(draws):
        counts[draw_locations(weights, 1, generator).item()] += 1
    assert counts[4] == 0
    expected = weights.flatten().numpy() / weights.sum().item() * draws
    keep = expected > 0
    assert stats.chisquare(counts[keep], expected[keep]).pvalue > 1e-3


def test_several_draws_are_multinomial_without_replacement() -> None:
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    pairs = {}
    for first, second in permutations(range(4), 2):
        chance = weights[first] * weights[second] / (1 - weights[first])
        pairs[frozenset((first, second))] = pairs.get(frozenset((first, second)), 0) + chance
    generator = streams(11)
    draws = 20_000
    counts = dict.fromkeys(pairs, 0)
    tensor = torch.tensor(weights).reshape(1, 2, 2)
    for _ in range(draws):
        counts[frozenset(draw_locations(tensor, 2, generator)[0].tolist())] += 1
    found = np.array([counts[pair] for pair in pairs])
    expected = np.array([chance * draws for chance in pairs.values()])
    assert stats.chisquare(found, expected).pvalue > 1e-3


def test_no_location_twice_and_every_one_where_there_are_too_few() -> None:
    weights = torch.rand(3, 9, 9)
    for count in (40, 81, 500):
        locations = draw_locations(weights, count, streams(1, 2, 3))
        assert locations.shape == (3, min(count, 81))
        assert all(len(set(row.tolist())) == len(row) for row in locations)
        assert locations.min() >= 0 and locations.max() < 81


def test_weightless_locations_are_drawn_last() -> None:
    weights = torch.zeros(1, 4, 4)
    weights[0, 1] = 1
    assert set(draw_locations(weights, 4, streams(5))[0].tolist()) == {4, 5, 6, 7}
    assert {4, 5, 6, 7} < set(draw_locations(weights, 6, streams(5))[0].tolist())


def test_an_image_draws_the_same_alone_and_in_a_batch() -> None:
    weights = torch.rand(2, 8, 8)
    together = draw_locations(weights, 10, streams(3, 4))
    for n, seed in enumerate((3, 4)):
        assert torch.equal(together[n : n + 1], draw_locations(weights[n : n + 1], 10, streams(seed)))


@pytest.mark.parametrize("size", [(22, 22), (8, 8), (4, 4)])
def test_tissue_prior_is_the_share_of_tissue_below_a_location(size: tuple[int, int]) -> None:
    image = torch.ones(1, 3, 16, 16)
    image[..., :8] = -0.2  # left half stained
    prior = tissue_prior(image, size)
    middle = size[1] // 2
    assert prior.shape == (1, *size)
    assert prior[..., :middle].min() == 1 and prior[..., middle:].max() == 0


def test_glass_alone_gives_a_flat_prior() -> None:
    assert torch.equal(tissue_prior(torch.ones(1, 3, 16, 16), (4, 4)), torch.ones(1, 4, 4))


def test_a_power_sharpens_the_attention_and_zero_flattens_it() -> None:
    feature = torch.rand(2, 5, 4, 6, generator=torch.Generator().manual_seed(0))
    norm = np.sqrt((feature.numpy() ** 2).sum(axis=1)) ** 3
    np.testing.assert_allclose(attention_map(feature, 3.0), norm / norm.sum(axis=(1, 2), keepdims=True), rtol=1e-5)
    torch.testing.assert_close(attention_map(feature, 0.0), torch.full((2, 4, 6), 1 / 24))


@pytest.mark.parametrize("size", [(22, 22), (16, 16), (4, 4)])
def test_dab_prior_is_the_density_below_a_location(size: tuple[int, int]) -> None:
    density = torch.zeros(1, 16, 16)
    density[..., :8] = 0.7
    prior = dab_prior(density, size)
    middle = size[1] // 2
    assert prior.shape == (1, *size)
    torch.testing.assert_close(prior[..., :middle], torch.full((1, size[0], middle), 0.7))
    assert prior[..., middle:].max() == 0
    assert torch.equal(dab_prior(torch.zeros(1, 16, 16), size), torch.ones(1, *size))
