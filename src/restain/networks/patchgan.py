"""The PatchGAN discriminator, anti-aliased or strided, plain or conditioned on a diffusion time."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from restain.networks.layers import BlurPool, conv, initialised, norm_layer
from restain.networks.specs import PatchganSpec


class TimeEmbedding(nn.Module):
    """Diffusion time t -> vector: sinusoids of geometrically spaced periods, then a two-layer MLP."""

    frequencies: Tensor

    def __init__(self, channels: int, waves: int = 64) -> None:
        super().__init__()
        frequencies = torch.exp(-math.log(10_000.0) * torch.arange(waves) / waves)
        self.register_buffer("frequencies", frequencies, persistent=False)
        hidden, out = nn.Linear(2 * waves, channels), nn.Linear(channels, channels)
        self.mlp = nn.Sequential(initialised(hidden, gain=1.0), nn.SiLU(), initialised(out, gain=1.0))

    def forward(self, t: Tensor) -> Tensor:
        """t (N,) -> (N, channels)."""
        angles = t.float()[:, None] * self.frequencies
        embedding: Tensor = self.mlp(torch.cat([angles.sin(), angles.cos()], dim=1))
        return embedding


class PatchDiscriminator(nn.Module):
    """Image -> map of realism scores, one for each patch (no final activation).

    Each stage is a 4x4 convolution, (a norm,) leaky ReLU and a blur-pool, or, strided, the same without the blur-pool
    and with stride 2; then a last 4x4 stage h of stride 1 and a 4x4 convolution to one channel. With three stages,
    strided, a score sees 70x70 pixels (Isola et al. 2017). A timed one also projects the diffusion time:
    conv(h) + <h, c(t)> / sqrt(C) at each location (Miyato and Koyama 2018, in patch form).

    Args:
        spec: ``ndf`` channels in the first stage, doubled at each stage up to 8 * ndf.
        channels: of the input: 3, or 6 where it sees the H&E beside the IHC.
        timed: whether ``forward`` takes diffusion times.
    """

    def __init__(self, spec: PatchganSpec, channels: int = 3, *, timed: bool = False) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.ndf * min(2**stage, 8) for stage in range(spec.layers + 1)]
        stride = 1 if spec.antialias else 2
        trunk: list[nn.Module] = [_conv(spec, channels, widths[0], stride), nn.LeakyReLU(0.2), *_blur(spec, widths[0])]
        for stage, (before, after) in enumerate(pairwise(widths), start=1):
            last = stage == spec.layers  # keeps its resolution
            convolution = _conv(spec, before, after, 1 if last else stride, bias=spec.norm == "instance")
            trunk += [convolution, norm_layer(spec.norm, after), nn.LeakyReLU(0.2)]
            trunk += [] if last else _blur(spec, after)
        self.trunk = nn.Sequential(*trunk)
        self.width = widths[-1]  # channels behind the trunk
        self.head = _conv(spec, widths[-1], 1, 1)
        self.time = TimeEmbedding(widths[-1]) if timed else None

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """x (N, channels, H, W) and, if timed, times t (N,) -> scores (N, 1, h, w)."""
        h = self.trunk(x)
        score: Tensor = self.head(h)
        if self.time is None:
            return score
        if t is None:
            raise ValueError("a time-conditioned discriminator needs diffusion times t, got None")
        # The head's 4x4 window shrinks the map by one pixel; the time term is averaged over 2x2 to match it.
        c = self.time(t)[:, :, None, None]
        projection = (h * c).sum(dim=1, keepdim=True) / math.sqrt(h.shape[1])
        return score + nn.functional.avg_pool2d(projection, 2, stride=1)


def _conv(spec: PatchganSpec, before: int, after: int, stride: int, bias: bool = True) -> nn.Module:
    return conv(before, after, 4, stride=stride, padding=1, bias=bias, init=spec.init, spectral=spec.spectral_norm)


def _blur(spec: PatchganSpec, channels: int) -> list[nn.Module]:
    return [BlurPool(channels)] if spec.antialias else []
