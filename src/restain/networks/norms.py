"""Norms that take their statistics from each image, and have no weights of their own.

Each image leaves such a norm with the same mean in every channel, so a generator gives every image about the same
amount of stain; ``restain.networks.statistics`` fixes them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPS = 1e-5


class ImageNorm(nn.Module):
    """Each channel of each image at mean 0 and variance 1: instance norm without weights of its own.

    It computes what ``nn.InstanceNorm2d`` does, and keeps channels last where they are last. PyTorch's own makes every
    map contiguous, and on a CPU its gradient is wrong for a single image where the gradient that arrives has channels
    last: the backward pass of ``batch_norm`` reads both tensors in the layout of one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), of the same type and layout; H * W must be more than 1."""
        if torch.compiler.is_compiling():
            return self._by_formula(x)
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        layout = torch.channels_last if last else torch.contiguous_format
        x = x.contiguous(memory_format=layout)
        if last:
            images = [self._batch_norm(image) for image in torch.split(x, 1)]
            out = images[0] if len(images) == 1 else torch.cat(images)
        else:
            out = self._batch_norm(x.view(1, -1, *x.shape[2:])).view_as(x)
        if out.requires_grad:
            out.register_hook(lambda gradient: gradient.contiguous(memory_format=layout))  # type: ignore[no-untyped-call]
        return out

    def _batch_norm(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        # On a CPU, half precisions without a weight of type float32 beside them get statistics in half precision too.
        weight = None if x.dtype == wide else x.new_ones(x.shape[1], dtype=wide)
        bias = None if weight is None else torch.zeros_like(weight)
        return F.batch_norm(x, None, None, weight, bias, training=True, eps=EPS)

    def _by_formula(self, x: Tensor) -> Tensor:
        """The same in elementary steps, which a compiler fuses in any layout."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, dim=(2, 3), correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + EPS)).to(x.dtype)


class JointNorm(nn.Module):
    """Each image at mean 0 and variance 1 over all its channels together: layer norm without weights of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W), of the same type."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(wide, dim=(1, 2, 3), correction=0, keepdim=True)
        return ((wide - mean) * torch.rsqrt(variance + EPS)).to(x.dtype)


class ChannelScale(nn.Module):
    """A weight and a bias for each channel: what stands behind a joint norm, and stays when that is fixed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        weight, bias = (values.to(x.dtype)[:, None, None] for values in (self.weight, self.bias))
        return x * weight + bias
