"""Pixels to image tensors and back, and the device that they go to."""

from __future__ import annotations

import os

import numpy as np
import torch

from restain.errors import RestainError
from restain.images import RGB


def find_device(name: str) -> str:
    """``auto``, ``cpu``, ``cuda`` or ``mps`` -> one of the last three; auto takes CUDA where there is a device.

    Raises:
        RestainError: another name, or a device that PyTorch does not see.
    """
    if name not in ("auto", "cpu", "cuda", "mps"):
        raise RestainError(f"device is {name!r}; expected auto, cpu, cuda or mps")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise RestainError("device is mps, but this PyTorch sees no Apple GPU; see restain doctor")
        return "mps"
    if name == "cuda" and not torch.cuda.is_available():
        raise RestainError("device is cuda, but this PyTorch sees no CUDA device; see restain doctor")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def check_devices(devices: int, device: str) -> None:
    """Refuse a number of processes that this machine has no room for.

    Args:
        devices: processes, one per GPU or on a CPU.
        device: cpu or cuda.

    Raises:
        RestainError: fewer than one, more than GPUs, or on a CPU more than cores (and more than 8).
    """
    if devices < 1:
        raise RestainError(f"devices is {devices}; expected at least 1")
    if device == "cuda" and devices > torch.cuda.device_count():
        raise RestainError(f"devices is {devices}, but PyTorch sees {torch.cuda.device_count()} CUDA devices")
    most = max(os.cpu_count() or 1, 8)
    if device == "cpu" and devices > most:
        raise RestainError(f"devices is {devices}; expected at most {most} processes on this CPU")


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an allocation failed: ``torch.OutOfMemoryError`` on a GPU, a plain ``RuntimeError`` on a CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def full_precision(x: torch.Tensor) -> torch.Tensor:
    """Half precisions -> float32; float32 and float64 stay as they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def to_tensor(rgb: RGB) -> torch.Tensor:
    """uint8 (H, W, 3) -> float32 (3, H, W) in [-1, 1]: x / 127.5 - 1."""
    return torch.from_numpy(rgb).permute(2, 0, 1).contiguous().float().div_(127.5).sub_(1)


def to_rgb(image: torch.Tensor) -> RGB:
    """Float (3, H, W) in [-1, 1] -> uint8 (H, W, 3), rounded and clipped; exact inverse of ``to_tensor``."""
    scaled = image.detach().float().add(1).mul(127.5).round().clamp(0, 255)
    return np.ascontiguousarray(scaled.to(torch.uint8).permute(1, 2, 0).cpu().numpy())
