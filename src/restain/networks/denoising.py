"""A generator that paints by removing noise in a few large steps (SynDiff, Ozbey et al. 2023), on a ResNet.

The published network is NCSN++ with group norms over the image. Here it is the anti-aliased ResNet of the other
systems; its norms are over the channels of each pixel, so that no pixel depends on how far the image reaches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from restain.networks.generator import Generator, NormSite, ReceptiveField
from restain.networks.geometry import Interval, chain_sources, hull, layer_sources, receptive_field
from restain.networks.layers import BlurPool, BlurUpsample, PixelNorm, conv, initialised
from restain.networks.noise import Place, noise_field
from restain.networks.patchgan import TimeEmbedding
from restain.networks.specs import DenoiserSpec
from restain.tensors import full_precision

_LATENT_KEY = 1_000  # of the noise fields: those of the image have the number of their step


class StyledNorm(nn.Module):
    """A norm over the channels of each pixel, with a scale and a shift that follow from a style vector."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.norm = PixelNorm()
        self.affine = initialised(nn.Linear(style, 2 * channels), gain=0.1)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, C, H, W) and (N, style) -> (N, C, H, W)."""
        scale, shift = self.affine(style).to(x.dtype)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = self.norm(x) * (1 + scale) + shift
        return out


class StyledBlock(nn.Module):
    """x + conv(ReLU(norm(conv(ReLU(norm(x)))))), 3x3 convolutions with reflection padding."""

    def __init__(self, channels: int, spec: DenoiserSpec) -> None:
        super().__init__()
        self.norms = nn.ModuleList(StyledNorm(channels, spec.style) for _ in range(2))
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            conv(channels, channels, 3, gain=1.0),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            conv(channels, channels, 3),  # small at first: the block begins as what it is given
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """(N, C, H, W) and (N, style) -> (N, C, H, W)."""
        first = self.layers[:3](self.norms[0](x, style))
        out: Tensor = self.layers[3:](self.norms[1](first, style))
        return x + out


class DenoisingGenerator(Generator):
    """The sampler of a conditional diffusion model with few steps; ``denoise`` is the network that is trained.

    From x_T of pure noise, step by step: the network predicts x_0 from x_t, the H&E and a latent vector, and x_{t-1} is
    drawn from q(x_{t-1} | x_t, x_0). All noise follows from the place of a pixel (``place``), and the latent vectors
    from the step alone, so that an image is painted alike each time, and a slide alike however it is cut.
    """

    stochastic = True
    latents: Tensor

    def __init__(self, spec: DenoiserSpec) -> None:
        super().__init__()
        self.spec: DenoiserSpec = spec
        self.place = Place()
        ngf = spec.ngf
        self.time = TimeEmbedding(spec.style)
        self.latent = nn.Sequential(
            initialised(nn.Linear(spec.latent, spec.style), gain=1.0),
            nn.ReLU(),
            initialised(nn.Linear(spec.style, spec.style), gain=1.0),
        )
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), conv(6, ngf, 7, gain=1.0), PixelNorm()]
        for level in range(spec.downs):
            wide = ngf * 2 ** (level + 1)
            layers += [nn.ReLU(), conv(wide // 2, wide, 3, padding=1, gain=1.0), BlurPool(wide), PixelNorm()]
        layers += [StyledBlock(ngf * spec.stride, spec) for _ in range(spec.blocks)]
        for level in reversed(range(spec.downs)):
            narrow = ngf * 2**level
            layers += [BlurUpsample(), conv(2 * narrow, narrow, 3, padding=1, gain=1.0)]
            layers += [PixelNorm(), nn.ReLU()]
        layers += [nn.ReflectionPad2d(3), conv(ngf, 3, 7), nn.Tanh()]
        self.layers = nn.ModuleList(layers)
        keys, cpu = range(_LATENT_KEY + 1, _LATENT_KEY + 1 + spec.steps), torch.device("cpu")
        drawn = torch.cat([noise_field(key, spec.latent, 1, 1, cpu) for key in keys])
        self.register_buffer("latents", drawn.flatten(1), persistent=False)  # of step 1, 2, ...
        self._field = receptive_field(self._sources, spec.stride)

    @property
    def smallest(self) -> int:
        """Least side of an image, in pixels: the residual blocks see at least 4 x 4."""
        return 4 * self.spec.stride

    def receptive_field(self) -> ReceptiveField:
        """That of all steps together: each sees as far as the network around what the one before has painted."""
        return self._field

    def _sources(self, pixels: Interval) -> Interval:
        for _ in range(self.spec.steps):
            for layer in reversed(self.layers):
                if isinstance(layer, StyledBlock):
                    pixels = hull(pixels, chain_sources(layer.layers, pixels))
                else:
                    pixels = layer_sources(layer, pixels)
        return pixels

    def norm_sites(self) -> Sequence[NormSite]:
        """None: its norms look at single pixels."""
        return ()

    def denoise(self, noisy: Tensor, he: Tensor, step: Tensor, latent: Tensor) -> Tensor:
        """The clean image that a noisy one hides.

        Args:
            noisy: x_t, (N, 3, H, W), sides multiples of the stride.
            he: H&E of the same field, image tensor.
            step: t, (N,), from 1 (least noise) to ``spec.steps``.
            latent: (N, ``spec.latent``), standard normal.

        Returns:
            x_0, image tensor.
        """
        style = self.time(step) + self.latent(latent)
        x = torch.cat([noisy.to(he.dtype), he], dim=1)
        for layer in self.layers:
            x = layer(x, style) if isinstance(layer, StyledBlock) else layer(x)
        return x

    def paint(self, x: Tensor) -> Tensor:
        """See ``Generator``."""
        spec, device = self.spec, x.device
        alphas = spec.signal_shares()
        shape, corners = (3, x.shape[2], x.shape[3]), self.place.corners
        noisy = noise_field(spec.steps, *shape, device, corners).expand(x.shape[0], -1, -1, -1)
        clean = x
        for step in range(spec.steps, 0, -1):
            latent = self.latents[step - 1].to(x).expand(x.shape[0], -1)
            steps = torch.full_like(latent[:, 0], step)
            clean = full_precision(self.denoise(noisy, x, steps, latent))
            if step > 1:
                of_clean, of_noisy, spread = posterior(alphas[step - 1], alphas[step])
                drawn = noise_field(step - 1, *shape, device, corners)
                noisy = of_clean * clean + of_noisy * noisy + spread * drawn
        return clean


def posterior(before: float, after: float) -> tuple[float, float, float]:
    """q(x_{t-1} | x_t, x_0): factors of x_0 and of x_t in its mean, and its standard deviation.

    Args:
        before: alpha_bar_{t-1}, the share of signal at t - 1.
        after: alpha_bar_t, below it.

    Source: Ho et al., Denoising diffusion probabilistic models (2020), Eq. 6-7.
    """
    beta = 1 - after / before
    of_clean = math.sqrt(before) * beta / (1 - after)
    of_noisy = math.sqrt(1 - beta) * (1 - before) / (1 - after)
    return of_clean, of_noisy, math.sqrt(beta * (1 - before) / (1 - after))
