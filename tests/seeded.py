"""Weights made of their own names: any implementation with the official key names can be given the same ones."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import torch

from restain.metrics.learned.extractor import build_network

NETWORKS = ("inception-fid", "inception-imagenet", "resnet50-imagenet", "vgg16-imagenet", "alexnet-imagenet")


def shapes_of(name: str) -> list[tuple[str, tuple[int, ...]]]:
    """Key and shape of every tensor of a network."""
    return [(key, tuple(value.shape)) for key, value in build_network(name).state_dict().items()]


def seeded_state(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> dict[str, torch.Tensor]:
    """A value for each key that depends on the key and the shape alone.

    numpy's PCG64 is seeded with the CRC-32 of the key. Weights of convolutions are normal with variance 2 / fan-in, a
    batch norm's scale is 1 + normal / 10, its variance uniform in [0.5, 1.5]; all else is normal / 10.
    """
    return {key: torch.from_numpy(_value(key, shape)) for key, shape in shapes}


def _value(key: str, shape: tuple[int, ...]) -> np.ndarray:
    generator = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith("num_batches_tracked"):
        return np.zeros(shape, dtype=np.int64)
    if key.endswith("running_var"):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    normal = generator.standard_normal(shape, dtype=np.float32)
    if len(shape) == 4:
        return normal * np.float32(np.sqrt(2.0 / np.prod(shape[1:])))
    return normal * np.float32(0.1) + np.float32(len(shape) == 1 and key.endswith("weight"))


def seeded_images(count: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """uint8 (H, W, 3): smooth colours with noise on them."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    images = []
    for _ in range(count):
        wave = np.stack([np.sin(generator.uniform(0.02, 0.2) * x + generator.uniform(0.02, 0.2) * y) for _ in "RGB"], 2)
        images.append(np.clip(128 + 70 * wave + generator.normal(0, 20, (height, width, 3)), 0, 255).astype(np.uint8))
    return images
