"""Building blocks shared by the generators and discriminators."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import remove_parametrizations


class BlurPool(nn.Module):
    """Anti-aliased halving: reflect-pad 1, depthwise outer([1, 2, 1]) / 16, stride 2.

    (N, C, H, W) -> (N, C, ceil(H / 2), ceil(W / 2)). Source: Zhang, "Making convolutional networks
    shift-invariant again" (2019), as used by CUT.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        kernel = torch.outer(line, line) / 16
        self.register_buffer("kernel", kernel.expand(channels, 1, 3, 3).clone(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Blur and subsample ``x``."""
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, self.kernel.to(x.dtype), stride=2, groups=x.shape[1])


class BlurUpsample(nn.Module):
    """Anti-aliased doubling: (N, C, H, W) -> (N, C, 2H, 2W).

    CUT's replicate-pad 1 and depthwise stride-2 transposed convolution with outer([1, 3, 3, 1]) / 16, cropped
    to twice the size, is bilinear interpolation (align_corners false) to float rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Upsample ``x``."""
        return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def conv(channels_in: int, channels_out: int, kernel: int, padding: int = 0, spectral: bool = False) -> nn.Module:
    """A stride-1 convolution with bias, initialised, with spectral normalisation where asked for."""
    layer = initialised(nn.Conv2d(channels_in, channels_out, kernel, padding=padding))
    return spectral_norm(layer) if spectral else layer


def initialised(layer: nn.Conv2d | nn.Linear, gain: float = 0.02) -> nn.Conv2d | nn.Linear:
    """Xavier-normal weights of a small gain and zero biases, as CUT and ASP start.

    Done as a layer is made, since spectral normalisation takes its first estimate from the weights it wraps.
    """
    nn.init.xavier_normal_(layer.weight, gain=gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def fold_spectral_norm(network: nn.Module) -> None:
    """Replace every spectrally normalised weight, in place, by the plain weight that it evaluates to."""
    network.eval()
    for module in network.modules():
        if hasattr(module, "parametrizations"):
            remove_parametrizations(module, "weight", leave_parametrized=True)
