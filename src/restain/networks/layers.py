"""Building blocks shared by the generators and discriminators."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from restain.networks.norms import ImageNorm
from restain.networks.specs import Init, NormKind

GAIN = 0.02  # of initial weights, in the published systems
_LEAST_VARIANCE = 1e-2  # of a pixel's channels, beside variances of about 1


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


class PixelNorm(nn.Module):
    """Each pixel at mean 0 and variance 1 over its channels, without weights of its own.

    A pixel whose channels are alike stays small: to bring it to variance 1 would enlarge its rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), of the same type."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, dim=1, correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + _LEAST_VARIANCE)).to(x.dtype)


def conv(
    channels_in: int,
    channels_out: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    bias: bool = True,
    init: Init = "xavier",
    gain: float = GAIN,
    spectral: bool = False,
) -> nn.Module:
    """A convolution, initialised, with spectral normalisation where asked for."""
    layer = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=bias)
    return _finished(layer, init, spectral, gain)


def transposed_conv(
    channels_in: int,
    channels_out: int,
    kernel: int,
    *,
    output_padding: int = 0,
    bias: bool = True,
    init: Init = "xavier",
    spectral: bool = False,
) -> nn.Module:
    """A transposed convolution of stride 2 and padding 1, initialised likewise."""
    layer = nn.ConvTranspose2d(channels_in, channels_out, kernel, 2, 1, output_padding, bias=bias)
    return _finished(layer, init, spectral)


def _finished(layer: nn.Conv2d | nn.ConvTranspose2d, init: Init, spectral: bool, gain: float = GAIN) -> nn.Module:
    initialised(layer, gain, init)
    return spectral_norm(layer) if spectral else layer


def norm_layer(kind: NormKind, channels: int) -> nn.Module:
    """Normalisation of ``channels`` maps: by each image itself, or by running averages over batches."""
    if kind == "instance":
        return ImageNorm()
    batch_norm = nn.BatchNorm2d(channels)
    nn.init.normal_(batch_norm.weight, 1.0, GAIN)
    return batch_norm


def initialised(
    layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, gain: float = GAIN, init: Init = "xavier"
) -> nn.Module:
    """Xavier-normal weights of a small gain, or normal ones of that deviation, and zero biases.

    Done as a layer is made, since spectral normalisation takes its first estimate from the weights it wraps.
    """
    if init == "xavier":
        nn.init.xavier_normal_(layer.weight, gain=gain)
    else:
        nn.init.normal_(layer.weight, 0.0, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def settle_spectral_norm(network: nn.Module, iterations: int = 20) -> None:
    """Iterate the estimates of all spectral norms of a network whose weights were not trained step by step.

    The singular vectors of a moving average are those of the live network, and a few iterations off.
    """
    parametrized = [module for module in network.modules() if hasattr(module, "parametrizations")]
    for module in parametrized:
        module.train()
        for _ in range(iterations):
            _ = module.weight  # each look at it takes one power iteration
        module.eval()
