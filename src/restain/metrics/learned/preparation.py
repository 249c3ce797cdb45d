"""How an image is made ready for a network; each way has a name, since it decides the score as much as the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from restain.images import RGB
from restain.metrics.learned.inception import INPUT_SIZE
from restain.tensors import to_tensor

Preparation: TypeAlias = Callable[[RGB], torch.Tensor]  # uint8 (H, W, 3) -> float32 (3, h, w)

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB in [0, 1]
LPIPS_SHIFT, LPIPS_SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of RGB in [-1, 1]


def bilinear_299(rgb: RGB) -> torch.Tensor:
    """Bilinear resize to 299x299 without antialiasing, then [-1, 1]. Source: pytorch-fid.

    torchvision's ImageNet Inception expects ImageNet's mean and deviation undone by its ``transform_input``, which
    comes to the same [-1, 1].
    """
    return F.interpolate(to_tensor(rgb)[None], size=(INPUT_SIZE, INPUT_SIZE), mode="bilinear")[0]


def antialiased_299(rgb: RGB) -> torch.Tensor:
    """Antialiased bicubic resize to 299x299 in floats, clipped, then [-1, 1]. Source: Parmar et al., CVPR 2022."""
    return _antialiased(rgb) / 127.5 - 1.0


def clean_fid_299(rgb: RGB) -> torch.Tensor:
    """The same resize, then (x - 128) / 128, as clean-fid feeds its Inception. Source: clean-fid, mode "clean"."""
    return (_antialiased(rgb) - 128.0) / 128.0


def _antialiased(rgb: RGB) -> torch.Tensor:
    channels = [
        np.asarray(Image.fromarray(channel).resize((INPUT_SIZE, INPUT_SIZE), Image.Resampling.BICUBIC))
        for channel in np.moveaxis(rgb, 2, 0).astype(np.float32)
    ]
    return torch.from_numpy(np.stack(channels).clip(0.0, 255.0))


def tensorflow_299(rgb: RGB) -> torch.Tensor:
    """Bilinear resize to 299x299 as TensorFlow 1 does it, then (x - 128) / 128. Source: torchmetrics, torch-fidelity.

    Output pixel i lies at i * (size / 299) of the input, without the half pixel by which others align centres.
    """
    planes = torch.from_numpy(np.moveaxis(rgb, 2, 0).astype(np.float32))
    for axis in (1, 2):
        place = torch.arange(INPUT_SIZE, dtype=torch.float32) * (planes.shape[axis] / INPUT_SIZE)
        low = place.floor().long()
        high = (low + 1).clamp(max=planes.shape[axis] - 1)
        share = (place - low).reshape(-1, 1) if axis == 1 else place - low
        first, second = planes.index_select(axis, low), planes.index_select(axis, high)
        planes = first + (second - first) * share
    return (planes - 128.0) / 128.0


def imagenet_full_size(rgb: RGB) -> torch.Tensor:
    """No resize; ImageNet's mean and standard deviation."""
    return _normalised(_unit(rgb), IMAGENET_MEAN, IMAGENET_STD)


def imagenet_twice_full_size(rgb: RGB) -> torch.Tensor:
    """Like ``imagenet_full_size`` on (x + 1) / 2 of an x already in [0, 1], as the evaluation script of ASP has it."""
    return _normalised((_unit(rgb) + 1.0) / 2.0, IMAGENET_MEAN, IMAGENET_STD)


def lpips_full_size(rgb: RGB) -> torch.Tensor:
    """No resize; the shift and scale of LPIPS on [-1, 1]."""
    return _normalised(to_tensor(rgb), LPIPS_SHIFT, LPIPS_SCALE)


PREPARATIONS: Mapping[str, Preparation] = MappingProxyType(
    {
        "bilinear-299": bilinear_299,
        "antialiased-299": antialiased_299,
        "clean-fid-299": clean_fid_299,
        "tensorflow-299": tensorflow_299,
        "imagenet-full-size": imagenet_full_size,
        "imagenet-twice-full-size": imagenet_twice_full_size,
    }
)
RESIZING = frozenset({"bilinear-299", "antialiased-299", "clean-fid-299", "tensorflow-299"})


def _unit(rgb: RGB) -> torch.Tensor:
    return (to_tensor(rgb) + 1.0) / 2.0


def _normalised(x: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    return (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
