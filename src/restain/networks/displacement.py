"""The registration network of RegGAN: two images in, a displacement for each pixel out; and warping by it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.networks.norms import ImageNorm
from restain.networks.specs import RegistrationSpec
from restain.tensors import full_precision


class _Residual(nn.Module):
    """x + conv(ReLU(IN(conv(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            ImageNorm(),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return x + out


class DisplacementNetwork(nn.Module):
    """A residual U-Net on both images; its last layer starts at 0, so that training starts without a warp.

    Each halving is a 3x3 convolution, leaky ReLU, residual block and 2x2 max-pool; each doubling is bilinear, takes the
    map of the same size from the way down, and ends in a convolution and leaky ReLU.
    """

    def __init__(self, spec: RegistrationSpec) -> None:
        super().__init__()
        widths = [spec.width, *[2 * spec.width] * (spec.downs - 1)]
        self.down = nn.ModuleList()
        before = 6
        for width in widths:
            self.down.append(nn.Sequential(nn.Conv2d(before, width, 3, padding=1), nn.LeakyReLU(0.2), _Residual(width)))
            before = width
        self.middle = nn.Sequential(*(_Residual(before) for _ in range(spec.blocks)))
        self.up = nn.ModuleList()
        for width in reversed(widths):
            self.up.append(nn.Sequential(nn.Conv2d(before + width, width, 3, padding=1), nn.LeakyReLU(0.2)))
            before = width
        self.refine = nn.Sequential(_Residual(before), nn.Conv2d(before, before, 1), nn.LeakyReLU(0.2))
        self.out = nn.Conv2d(before, 2, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=0.2)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.out.weight)

    def forward(self, moving: Tensor, fixed: Tensor) -> Tensor:
        """Images (N, 3, H, W), sides multiples of the stride -> displacement (N, 2, H, W): x and y, in pixels."""
        x, skips = torch.cat([moving, fixed], dim=1), []
        for block in self.down:
            x = block(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.middle(x)
        for block, skip in zip(self.up, reversed(skips), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], dim=1))
        displacement: Tensor = self.out(self.refine(x))
        return displacement


def warp(image: Tensor, displacement: Tensor) -> Tensor:
    """Look each pixel up where the displacement points: out(x, y) = image(x + dx, y + dy), bilinear, borders extended.

    Args:
        image: (N, C, H, W).
        displacement: (N, 2, H, W): dx and dy in pixels.
    """
    displacement = full_precision(displacement)
    height, width = image.shape[-2:]
    rows = torch.arange(height, device=image.device, dtype=displacement.dtype)
    columns = torch.arange(width, device=image.device, dtype=displacement.dtype)
    x = (displacement[:, 0] + columns) * (2 / max(1, width - 1)) - 1
    y = (displacement[:, 1] + rows[:, None]) * (2 / max(1, height - 1)) - 1
    grid = torch.stack([x, y], dim=-1)
    with torch.autocast(image.device.type, enabled=False):
        return F.grid_sample(full_precision(image), grid, "bilinear", "border", align_corners=True)
