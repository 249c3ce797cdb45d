"""The noise schedule, the draw of times, the noising and the adaptive horizon against closed forms and by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from restain.diffusion import AdaptiveHorizon, HorizonRule, NoiseSchedule, diffuse, draw_times

HORIZONS = (10, 50, 100, 250, 1000)


def _stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _streams(count: int, seed: int = 0) -> list[torch.Generator]:
    return [_stream(seed + i) for i in range(count)]


@pytest.mark.parametrize("horizon", HORIZONS)
def test_alpha_bar_is_the_product_of_one_minus_beta(horizon: int) -> None:
    expected, product = [1.0], 1.0
    for t in range(1, horizon + 1):
        beta = 1e-4 + (2e-2 - 1e-4) * (t - 1) / (horizon - 1)
        product *= 1.0 - beta
        expected.append(product)
    found = NoiseSchedule().alpha_bar(torch.tensor(horizon))
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found[: horizon + 1].numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("horizon", "expected"), [(10, 0.904), (50, 0.603), (100, 0.364), (250, 0.080), (1000, 4e-5)])
def test_alpha_bar_at_the_horizon_has_the_known_values(horizon: int, expected: float) -> None:
    assert NoiseSchedule().alpha_bar(torch.tensor(horizon))[horizon].item() == pytest.approx(expected, rel=0.01)


def test_alpha_bar_starts_clean_and_falls() -> None:
    alpha_bar = NoiseSchedule(t_max=1000).alpha_bar(torch.tensor(1000))
    assert alpha_bar[0].item() == 1.0
    assert (alpha_bar.diff() < 0).all()
    assert alpha_bar[1].item() == pytest.approx(1 - 1e-4)


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("sigma", [0.05, 1.0])
def test_noised_images_have_the_moments_of_eq_4(horizon: int, sigma: float) -> None:
    t = horizon // 2 + 1
    alpha_bar = math.prod(1 - (1e-4 + (2e-2 - 1e-4) * (s - 1) / (horizon - 1)) for s in range(1, t + 1))
    x0 = torch.full((2, 3, 100, 100), 0.6)
    x0[1] = -0.9

    noised = diffuse(x0, NoiseSchedule().alpha_bar(torch.tensor(horizon))[[t, t]], sigma, _streams(2))

    std, n = math.sqrt(1 - alpha_bar) * sigma, x0[0].numel()
    for image, value in zip(noised, (0.6, -0.9), strict=True):
        assert abs(image.mean().item() - math.sqrt(alpha_bar) * value) < 4 * std / math.sqrt(n)
        assert abs(image.std().item() / std - 1) < 4 / math.sqrt(2 * n)
        assert stats.kstest((image.flatten().numpy() - math.sqrt(alpha_bar) * value) / std, "norm").pvalue > 1e-4


def test_time_zero_leaves_the_image_as_it_is() -> None:
    x0 = torch.rand(2, 3, 8, 8, generator=_stream(3))
    alpha_bar = NoiseSchedule().alpha_bar(torch.tensor(100))
    noised = diffuse(x0, alpha_bar[torch.tensor([0, 100])], 1.0, _streams(2))
    assert torch.equal(noised[0], x0[0])
    assert not torch.equal(noised[1], x0[1])


def test_gradient_passes_the_noise_scaled_by_the_signal() -> None:
    x0 = torch.zeros(1, 3, 4, 4, requires_grad=True)
    diffuse(x0, torch.tensor([0.36], dtype=torch.float64), 1.0, _streams(1)).sum().backward()
    torch.testing.assert_close(x0.grad, torch.full((1, 3, 4, 4), 0.6))


@pytest.mark.parametrize("horizon", [2, 10, 37])
def test_times_are_drawn_in_proportion_to_t(horizon: int) -> None:
    draws = 20_000
    stream = _stream(horizon)
    t = draw_times(torch.tensor(horizon), 0.0, [stream] * draws).numpy()
    observed = np.bincount(t, minlength=horizon + 1)
    assert observed[0] == 0 and len(observed) == horizon + 1
    weights = np.arange(1, horizon + 1)
    assert stats.chisquare(observed[1:], draws * weights / weights.sum()).pvalue > 1e-4


def test_the_clean_share_is_what_was_asked_for() -> None:
    draws, fraction = 20_000, 0.3
    t = draw_times(torch.tensor(20), fraction, [_stream(1)] * draws)
    clean = int((t == 0).sum())
    assert stats.binomtest(clean, draws, fraction).pvalue > 1e-4
    late = t[t > 0].double()
    assert late.mean().item() == pytest.approx((2 * 20 + 1) / 3, rel=0.02)  # E[t] of P(t) ~ t, as without clean images
    assert (draw_times(torch.tensor(20), 1.0, [_stream(1)] * 100) == 0).all()


def test_times_stay_within_the_largest_horizon() -> None:
    t = draw_times(torch.tensor(1000), 0.0, [_stream(5)] * 20_000)
    assert t.dtype == torch.int64 and t.min() >= 1 and t.max() <= 1000


def test_an_image_draws_the_same_alone_and_in_a_batch() -> None:
    x0 = torch.rand(2, 3, 6, 6, generator=_stream(0))
    horizon = torch.tensor(50)
    alpha_bar = NoiseSchedule().alpha_bar(horizon)

    def noised(images: torch.Tensor, streams: list[torch.Generator]) -> torch.Tensor:
        t = draw_times(horizon, 0.5, streams)
        return diffuse(images, alpha_bar[t], 1.0, streams)

    together = noised(x0, [_stream(10), _stream(11)])
    alone = torch.cat([noised(x0[:1], [_stream(10)]), noised(x0[1:], [_stream(11)])])
    assert torch.equal(together, alone)


def test_fake_and_real_of_one_stream_draw_independently() -> None:
    streams = [torch.Generator().manual_seed(seed) for seed in range(4000)]
    fake, real = draw_times(torch.tensor(10), 0.0, [*streams, *streams]).double().chunk(2)
    assert abs(np.corrcoef(fake, real)[0, 1]) < 4 / math.sqrt(4000)


# --- the adaptive horizon

RULE = HorizonRule(t_min=10, t_max=110, target=0.6, interval=2, ramp_kimg=0.04)  # 40 images from p = 0 to 1


def _observe(horizon: AdaptiveHorizon, sign: float, images: int) -> int:
    horizon.observe(torch.tensor(sign), images, steps=100)
    return int(horizon.horizon())


def test_horizon_follows_a_hand_traced_sequence() -> None:
    horizon = AdaptiveHorizon(RULE)
    assert int(horizon.horizon()) == 10
    trace = [
        # sign, images -> T; p moves by images / 40 after every second line
        (1.0, 4, 10),
        (1.0, 4, 30),  # r = 1 > 0.6: p = 8 / 40 = 0.2
        (0.5, 1, 30),
        (0.9, 2, 38),  # r = 0.7: p = 0.2 + 3 / 40 = 0.275, T = 37.5, half to even
        (1.0, 4, 38),
        (-1.0, 4, 18),  # r = 0: p = 0.275 - 0.2 = 0.075, T = 17.5, half to even
        (-1.0, 8, 18),
        (-1.0, 8, 10),  # p = 0.075 - 0.4, held at 0
        (1.0, 30, 10),
        (1.0, 30, 110),  # p = 0 + 1.5, held at 1
        (0.6, 1, 110),
        (0.6, 1, 110),
    ]
    for line, (sign, images, expected) in enumerate(trace):
        assert _observe(horizon, sign, images) == expected, f"line {line}"


def test_horizon_stays_where_r_is_the_target() -> None:
    horizon = AdaptiveHorizon(HorizonRule(target=0.5, interval=2, ramp_kimg=0.1))
    for _ in range(4):
        _observe(horizon, 0.5, 5)
    assert horizon.p.item() == 0.0
    _observe(horizon, 1.0, 5), _observe(horizon, 1.0, 5)
    assert horizon.p.item() == pytest.approx(0.1)
    _observe(horizon, 0.25, 5), _observe(horizon, 0.75, 5)
    assert horizon.p.item() == pytest.approx(0.1)


def test_horizon_takes_its_whole_ramp_in_the_images_promised() -> None:
    horizon = AdaptiveHorizon(HorizonRule())  # 10 to 1000, 100 kimg, every 4 iterations
    for _ in range(1000):
        _observe(horizon, 1.0, 50)
    assert horizon.p.item() == pytest.approx(0.5)
    assert int(horizon.horizon()) == 505
    for _ in range(1000):
        _observe(horizon, 1.0, 50)
    assert int(horizon.horizon()) == 1000


def test_horizon_resumes_in_the_middle_of_an_interval() -> None:
    signs = np.random.default_rng(0).choice([-1.0, 0.2, 1.0], 13)
    whole, first = AdaptiveHorizon(RULE), AdaptiveHorizon(RULE)
    for sign in signs:
        _observe(whole, float(sign), 3)
    for sign in signs[:7]:
        _observe(first, float(sign), 3)
    second = AdaptiveHorizon(RULE)
    second.load_state_dict(first.state_dict())
    for sign in signs[7:]:
        _observe(second, float(sign), 3)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize(("steps", "images"), [(48, 1), (160, 7)])
def test_a_ramp_is_a_share_of_the_run_whatever_its_length(steps: int, images: int) -> None:
    horizon = AdaptiveHorizon(HorizonRule(interval=4, ramp_kimg=1e9, ramp=0.5))
    for _ in range(steps // 4):
        horizon.observe(torch.tensor(1.0), images, steps)
    assert horizon.p.item() == pytest.approx(0.5)  # a quarter of the run is half of its ramp
    for _ in range(steps // 4):
        horizon.observe(torch.tensor(1.0), images, steps)
    assert horizon.p.item() == pytest.approx(1.0)
