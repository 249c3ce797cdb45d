"""The denoising generator: noise by place, the posterior, and a sampler that paints alike however it is tiled."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from restain.networks.denoising import DenoisingGenerator, posterior
from restain.networks.noise import Place, noise_field
from restain.networks.specs import DenoiserSpec

CPU = torch.device("cpu")
SMALL = DenoiserSpec(ngf=4, blocks=1, downs=1, style=8, latent=4)


def strong(seed: int) -> DenoisingGenerator:
    """A generator whose image is more than the grey of small initial weights."""
    torch.manual_seed(seed)
    generator = DenoisingGenerator(SMALL).eval()
    with torch.no_grad():
        for name, weight in generator.named_parameters():
            if name.endswith("weight") and weight.ndim == 4:
                weight *= 30
    return generator


def test_noise_is_normal_and_its_neighbours_are_independent() -> None:
    field = noise_field(2, 3, 128, 128, CPU)[0].double().numpy()
    assert stats.kstest(field.ravel(), "norm").pvalue > 1e-3
    pairs = {
        "right": (field[..., 1:], field[..., :-1]),
        "below": (field[:, 1:], field[:, :-1]),
        "channel": (field[1:], field[:-1]),
        "key": (field, noise_field(3, 3, 128, 128, CPU)[0].double().numpy()),
        "size": (field**2, np.roll(field, 1, axis=2) ** 2),
    }
    for name, (one, other) in pairs.items():
        r = np.corrcoef(one.ravel(), other.ravel())[0, 1]
        assert abs(r) < 5 / math.sqrt(one.size), name


def test_noise_follows_from_the_place_of_a_pixel() -> None:
    whole = noise_field(7, 2, 90, 80, CPU)
    parts = noise_field(7, 2, 30, 20, CPU, [(0, 0), (55, 41)])
    assert torch.equal(parts[0], whole[0, :, :30, :20])
    assert torch.equal(parts[1], whole[0, :, 41:71, 55:75])
    far = noise_field(7, 1, 4, 4, CPU, [(3_000_000, 2_000_000)])
    assert far.isfinite().all() and far.std() > 0.3


def test_the_posterior_is_bayes_rule_for_gaussians() -> None:
    before, after = SMALL.signal_shares()[2:4]
    of_clean, of_noisy, spread = posterior(before, after)
    x0, xt = 0.3, -1.1
    beta = 1 - after / before
    grid = np.linspace(-8, 8, 200_001)
    prior = stats.norm.pdf(grid, math.sqrt(before) * x0, math.sqrt(1 - before))
    weight = prior * stats.norm.pdf(xt, math.sqrt(1 - beta) * grid, math.sqrt(beta))
    weight /= weight.sum()
    mean = (weight * grid).sum()
    assert of_clean * x0 + of_noisy * xt == pytest.approx(mean, abs=1e-6)
    assert spread**2 == pytest.approx((weight * (grid - mean) ** 2).sum(), abs=1e-6)


def test_signal_fades_as_the_rates_integrate() -> None:
    spec = DenoiserSpec()
    shares, times = spec.signal_shares(), 1e-3 + (1 - 1e-3) * np.arange(5) / 4
    for share, time in zip(shares, times, strict=True):
        s = np.linspace(0, time, 100_001)
        rate = spec.beta_min + s * (spec.beta_max - spec.beta_min)
        assert share == pytest.approx(math.exp(-np.trapezoid(rate, s)), rel=1e-6)
    assert shares[0] > 0.999 and shares[-1] < 1e-4


@torch.no_grad()
def test_the_sampler_is_its_steps_by_hand() -> None:
    generator = strong(0)
    he = torch.rand(2, 3, 16, 12) * 2 - 1
    shares = SMALL.signal_shares()
    x = noise_field(4, 3, 16, 12, CPU).expand(2, -1, -1, -1)
    for t in (4, 3, 2, 1):
        z = noise_field(1_000 + t, 4, 1, 1, CPU).flatten(1).expand(2, -1)
        x0 = generator.denoise(x, he, torch.full((2,), float(t)), z)
        if t > 1:
            a, b, s = posterior(shares[t - 1], shares[t])
            x = a * x0 + b * x + s * noise_field(t - 1, 3, 16, 12, CPU)
    torch.testing.assert_close(generator(he), x0)
    assert generator.stochastic and not generator.norm_sites()


@torch.no_grad()
def test_a_tile_with_its_halo_is_a_part_of_the_whole() -> None:
    generator = strong(1)
    field = generator.receptive_field()
    generator.place = Place()
    halo, side = field.radius, 2 * field.radius + 24
    he = torch.rand(1, 3, side + 8, side + 8) * 2 - 1
    whole = generator(he)
    generator.place.corners = [(8, 4)]
    tile = generator(he[..., 4 : 4 + side, 8 : 8 + side])
    inner = slice(halo, side - halo)
    expected = whole[..., 4 + halo : 4 + side - halo, 8 + halo : 8 + side - halo]
    torch.testing.assert_close(tile[..., inner, inner], expected, rtol=0, atol=1e-5)
    generator.place.corners = []
    moved = generator(he[..., 4 : 4 + side, 8 : 8 + side])
    assert (moved[..., inner, inner] - expected).abs().max() > 0.01  # without its place it gets other noise


@torch.no_grad()
def test_no_pixel_beyond_the_radius_counts_and_some_pixel_near_it_does() -> None:
    generator = strong(2).double()
    radius = generator.receptive_field().radius
    side = 2 * radius + 12
    he = torch.rand(1, 3, side, side, dtype=torch.float64) * 2 - 1
    middle = side // 2
    usual = generator(he)[..., middle, middle]
    changed = he.clone()
    changed[..., : middle - radius] = -changed[..., : middle - radius]
    assert torch.equal(generator(changed)[..., middle, middle], usual)
    changed[..., : middle - radius // 2] = -he[..., : middle - radius // 2]
    assert not torch.equal(generator(changed)[..., middle, middle], usual)
