"""The diffusion module against closed forms and a hand-traced horizon."""

import numpy as np
import pytest
import torch
from scipy import stats

from restain.diffusion import AdaptiveHorizon, HorizonRule, NoiseSchedule, diffuse, draw_times


def streams(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize(("horizon", "end"), [(10, 0.904), (50, 0.603), (100, 0.364), (250, 0.080), (1000, 4.0e-5)])
def test_alpha_bar_is_the_product_over_a_stretched_line(horizon: int, end: float) -> None:
    table = NoiseSchedule().alpha_bar(torch.tensor(horizon)).numpy()
    beta = np.linspace(1e-4, 2e-2, horizon)
    expected = [float(np.prod(1 - beta[:t])) for t in range(horizon + 1)]
    np.testing.assert_allclose(table[: horizon + 1], expected, rtol=1e-10)
    assert table[horizon] == pytest.approx(end, rel=1e-2)


@pytest.mark.parametrize("horizon", [10, 100, 1000])
@pytest.mark.parametrize("sigma", [1.0, 0.05])
def test_moments_of_a_noised_image(horizon: int, sigma: float) -> None:
    share = NoiseSchedule().alpha_bar(torch.tensor(horizon))[horizon]
    x0 = torch.full((1, 3, 200, 200), 0.7)
    noised = diffuse(x0, share[None], sigma, streams(0)).double()
    count = noised.numel()
    mean, std = share.sqrt().item() * 0.7, (1 - share).sqrt().item() * sigma
    assert abs(noised.mean().item() - mean) < 5 * std / count**0.5
    assert noised.std().item() == pytest.approx(std, rel=5 / (2 * count) ** 0.5)


def test_time_zero_leaves_the_image_and_each_image_has_its_own_noise() -> None:
    x0 = torch.rand(2, 3, 8, 8)
    assert torch.equal(diffuse(x0, torch.ones(2), 1.0, streams(1, 2)), x0)
    both = diffuse(x0, torch.tensor([0.5, 0.2]), 1.0, streams(1, 2))
    assert torch.equal(both[1:], diffuse(x0[1:], torch.tensor([0.2]), 1.0, streams(2)))


def test_times_are_proportional_to_t_and_half_of_them_clean() -> None:
    draws, horizon = 40_000, 12
    generator = streams(3)
    times = np.array([draw_times(torch.tensor(horizon), 0.5, generator).item() for _ in range(draws)])
    clean = int((times == 0).sum())
    assert stats.binomtest(clean, draws, 0.5).pvalue > 1e-3
    counts = np.bincount(times, minlength=horizon + 1)[1:]
    expected = np.arange(1, horizon + 1) / (horizon * (horizon + 1) / 2) * (draws - clean)
    assert stats.chisquare(counts, expected).pvalue > 1e-3


def test_clean_fraction_at_its_ends() -> None:
    always = torch.cat([draw_times(torch.tensor(1000), 1.0, streams(seed)) for seed in range(50)])
    never = torch.cat([draw_times(torch.tensor(1000), 0.0, streams(seed)) for seed in range(50)])
    assert (always == 0).all()
    assert never.min() >= 1 and never.max() <= 1000


def test_the_horizon_against_a_hand_traced_sequence() -> None:
    rule = HorizonRule(t_min=10, t_max=110, target=0.6, interval=2, ramp_kimg=0.02)  # 20 images from 0 to 1
    horizon = AdaptiveHorizon(rule)
    trace = []
    # signs of two iterations, 2 images each: r = 1, 0.5, 0.6, 0.7, 0.9 ... p moves by sign(r - 0.6) * 4 / 20
    for signs in ((1.0, 1.0), (0.8, 0.2), (1.0, 0.2), (0.9, 0.5), (1.0, 0.8), (0.0, 0.0)):
        for sign in signs:
            horizon.observe(torch.tensor(sign, dtype=torch.float64), images=2)
        trace.append((round(horizon.p.item(), 9), horizon.horizon().item()))
    assert trace == [(0.2, 30), (0.0, 10), (0.0, 10), (0.2, 30), (0.4, 50), (0.2, 30)]


def test_the_horizon_stays_within_its_bounds() -> None:
    horizon = AdaptiveHorizon(HorizonRule(interval=1, ramp_kimg=0.01))
    for _ in range(20):
        horizon.observe(torch.tensor(-1.0), images=1)
    assert horizon.horizon() == 10
    for _ in range(200):
        horizon.observe(torch.tensor(1.0), images=1)
    assert horizon.horizon() == 1000


def test_the_horizon_resumes_in_the_middle_of_an_interval() -> None:
    def feed(horizon: AdaptiveHorizon, signs: list[float]) -> AdaptiveHorizon:
        for sign in signs:
            horizon.observe(torch.tensor(sign), images=3)
        return horizon

    signs = [1.0, 0.9, 0.4, 1.0, 0.7, 0.2, 1.0, 1.0, 0.1]
    rule = HorizonRule(ramp_kimg=0.1)
    whole = feed(AdaptiveHorizon(rule), signs)
    resumed = AdaptiveHorizon(rule)
    resumed.load_state_dict(feed(AdaptiveHorizon(rule), signs[:6]).state_dict())
    assert feed(resumed, signs[6:]).state_dict() == whole.state_dict()
