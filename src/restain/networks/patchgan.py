"""The anti-aliased PatchGAN discriminator, plain or conditioned on a diffusion time."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from restain.networks.layers import BlurPool, conv, initialised


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
    """Image -> map of realism scores, one a patch (least squares: no final activation).

    Each of ``layers`` stages is a 4x4 stride-1 convolution, (instance norm,) leaky ReLU and a blur-pool; then a
    last 4x4 stage h and a 4x4 convolution to one channel. With ``conditioned``, the score also projects the
    diffusion time: conv(h) + <h, c(t)> / sqrt(C) at each location (Miyato and Koyama 2018, in patch form).

    Args:
        ndf: channels of the first stage, doubled at each stage up to 8 * ndf.
        layers: stages; 5 in ASP-DGRank (Sec. 6), 3 in CUT (70x70 patches).
        spectral: spectral normalisation on every convolution.
        conditioned: whether ``forward`` takes diffusion times.
    """

    def __init__(self, ndf: int = 64, layers: int = 3, spectral: bool = False, conditioned: bool = False) -> None:
        super().__init__()
        widths = [ndf * min(2**stage, 8) for stage in range(layers + 1)]
        trunk: list[nn.Module] = [conv(3, ndf, 4, 1, spectral), nn.LeakyReLU(0.2), BlurPool(ndf)]
        for before, after in pairwise(widths):
            trunk += [conv(before, after, 4, 1, spectral), nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
            trunk += [BlurPool(after)]
        self.trunk = nn.Sequential(*trunk[:-1])  # the last stage keeps its resolution
        self.head = conv(widths[-1], 1, 4, 1, spectral)
        self.time = TimeEmbedding(widths[-1]) if conditioned else None

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """x (N, 3, H, W) and, if conditioned, times t (N,) -> scores (N, 1, h, w)."""
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


def smallest_image(layers: int) -> int:
    """Least side in pixels for which a discriminator of ``layers`` stages still gives one score."""
    side = 1
    for _ in range(2):  # the last stage and the head: 4x4, padding 1
        side += 1
    for _ in range(layers):  # blur-pool rounds up, the convolution before it takes one pixel
        side = 2 * side
    return side
