"""The diffusion module (Sec. 3.2): a noise schedule, the noising of an image, and an adaptive horizon.

Everything stays on the images' device and nothing waits for the host, T included: it is a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from restain.types import RandomStreams


@dataclass(frozen=True)
class NoiseSchedule:
    """Linear beta from ``beta_start`` to ``beta_end`` over T steps, re-stretched for every T (Sec. 4.2)."""

    beta_start: float = 1e-4
    beta_end: float = 2e-2
    t_max: int = 1000  # the largest horizon that will be asked for

    def alpha_bar(self, horizon: Tensor) -> Tensor:
        """Cumulative products of 1 - beta for a horizon T (Eq. 4).

        Args:
            horizon: T, an integer tensor of one element, 2 <= T <= t_max.

        Returns:
            float64 (t_max + 1,): alpha_bar_t at index t, with alpha_bar_0 = 1; valid for t <= T.
        """
        step = torch.arange(self.t_max, device=horizon.device, dtype=torch.float64)
        beta = self.beta_start + (self.beta_end - self.beta_start) * step / (horizon - 1)
        # Past T the line would exceed 1; those entries are never read.
        product = torch.cumprod(1.0 - beta.clamp(max=self.beta_end), dim=0)
        return torch.cat([product.new_ones(1), product])


def draw_times(horizon: Tensor, clean_fraction: float, streams: RandomStreams) -> Tensor:
    """One diffusion time per image: 0 (clean) with probability ``clean_fraction``, else 1..T with P(t) ~ t.

    The weighting towards late times is the paper's "biased towards later steps"; the clean share is
    Diffusion-GAN's. Returns int64 (N,).
    """
    u, clean = torch.stack([torch.rand(2, generator=g, device=g.device, dtype=torch.float64) for g in streams]).unbind(
        1
    )
    # P(t' <= t) = t (t + 1) / (T (T + 1)); its inverse is the ceiling of a square root.
    t = ((1.0 + 4.0 * u * horizon * (horizon + 1)).sqrt() - 1.0).div(2.0).ceil()
    t = torch.minimum(t.clamp(min=1), horizon.to(t.dtype)).long()
    return torch.where(clean < clean_fraction, torch.zeros_like(t), t)


def diffuse(x0: Tensor, alpha_bar: Tensor, sigma: float, streams: RandomStreams) -> Tensor:
    """Noise an image (Eq. 5): sqrt(alpha_bar) x_0 + sqrt(1 - alpha_bar) sigma eps.

    Args:
        x0: image tensor (N, 3, H, W).
        alpha_bar: alpha_bar_t of each image, (N,); 1 leaves the image as it is.
        sigma: standard deviation of eps; 1 is the equation, 0.05 the paper's Sec. 4.2.
        streams: one random stream per image.
    """
    eps = torch.stack([torch.randn(x0.shape[1:], generator=g, device=g.device) for g in streams])
    share = alpha_bar.to(torch.float32)[:, None, None, None]
    return share.sqrt() * x0 + (1.0 - share).sqrt() * sigma * eps


@dataclass(frozen=True)
class HorizonRule:
    """How T follows the discriminator; defaults as Diffusion-GAN's adaptive diffusion, 10 to 1000 steps."""

    t_min: int = 10
    t_max: int = 1000
    target: float = 0.6  # r above which the discriminator is taken to overfit
    interval: int = 4  # iterations between two moves of p
    ramp_kimg: float = 100.0  # thousand images in which p can go from 0 to 1
    ramp: float | None = None  # the same as a share of the run, in place of ramp_kimg


class AdaptiveHorizon(nn.Module):
    """T = clip(round(T_min + p (T_max - T_min))): longer diffusion while the discriminator wins.

    Its buffers are its state, part of a checkpoint like any network's.
    """

    p: Tensor
    sign_sum: Tensor
    images: Tensor
    iterations: Tensor

    def __init__(self, rule: HorizonRule = HorizonRule()) -> None:
        super().__init__()
        self.rule = rule
        for name in ("p", "sign_sum", "images"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        self.register_buffer("iterations", torch.zeros((), dtype=torch.int64))

    def horizon(self) -> Tensor:
        """T now: int64 tensor without dimensions."""
        span = self.rule.t_max - self.rule.t_min
        return torch.round(self.rule.t_min + self.p * span).clamp(self.rule.t_min, self.rule.t_max).long()

    @torch.no_grad()
    def observe(self, sign_real: Tensor, images: int, steps: int) -> None:
        """Take in one iteration; every ``interval`` of them p moves by one step towards the target.

        Args:
            sign_real: mean of sign(D(real, t) - 1/2) over this iteration's scores.
            images: real images shown in this iteration, over all devices.
            steps: iterations of the whole run.
        """
        self.sign_sum += sign_real
        self.images += images
        self.iterations += 1
        due = self.iterations % self.rule.interval == 0
        r = self.sign_sum / self.rule.interval
        rule = self.rule
        whole = rule.ramp_kimg * 1000 if rule.ramp is None else rule.ramp * steps * images
        step = torch.sign(r - rule.target) * self.images / whole
        self.p.copy_(torch.where(due, (self.p + step).clamp(0.0, 1.0), self.p))
        for total in (self.sign_sum, self.images):
            total.mul_(~due)
