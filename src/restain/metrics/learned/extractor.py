"""Frozen values that turn images into numbers: a network with its verified weights and the preparation of its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from restain.errors import RestainError, in_short
from restain.images import RGB
from restain.metrics.learned.inception import Inception
from restain.metrics.learned.lpips import lpips_distance
from restain.metrics.learned.preparation import PREPARATIONS, RESIZING, lpips_full_size
from restain.metrics.learned.resnet50 import ResNet50
from restain.metrics.learned.stacks import (
    TappedStack,
    alexnet_stack,
    numbered,
    tolerant_alexnet_stack,
    tolerant_vgg16_stack,
    vgg16_stack,
)
from restain.weights import HeldWeights, load_weights

Features: TypeAlias = npt.NDArray[np.float32]  # (n, d)

_NETWORKS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "inception-fid": lambda: Inception(tensorflow_port=True),
        "inception-imagenet": lambda: Inception(tensorflow_port=False),
        "resnet50-imagenet": ResNet50,
        "vgg16-imagenet": vgg16_stack,
        "alexnet-imagenet": alexnet_stack,
        "st-lpips-alex": tolerant_alexnet_stack,
        "st-lpips-vgg": tolerant_vgg16_stack,
    }
)
_RENAMED = frozenset({"st-lpips-alex", "st-lpips-vgg"})  # networks whose files name layers otherwise


@dataclass(frozen=True)
class FeatureExtractor:
    """A network, its verified weights and the preparation: two that are equal give an image the same features.

    Attributes:
        weights: of a network that answers with vectors.
        preparation: name of how an image is made ready.
        device: "cpu" or "cuda"; changes features by rounding only.
    """

    weights: HeldWeights
    preparation: str
    device: str = field(default="cpu", compare=False)

    @cached_property
    def network(self) -> nn.Module:
        """The network, read when it is first needed: features that are on disk already do without it."""
        return load_network(self.weights.file.name, load_weights(self.weights)).to(self.device)

    @property
    def key(self) -> tuple[str, ...]:
        """What the features of a given image depend on, as text."""
        return (self.weights.file.name, self.weights.sha256, self.preparation)

    @property
    def resizes(self) -> bool:
        """Whether all images come to one size, so that several fit in a pass."""
        return self.preparation in RESIZING

    def __call__(self, images: Sequence[RGB]) -> Features:
        """uint8 (H, W, 3) each, of one size unless the extractor resizes -> float32 (n, d)."""
        prepared = torch.stack([PREPARATIONS[self.preparation](image) for image in images])
        with _reproducibly():
            return np.asarray(self.network(prepared.to(self.device)).float().cpu().numpy())


@dataclass(frozen=True)
class PerceptualDistance:
    """LPIPS or ST-LPIPS through a network with its learned heads: two that are equal give a pair the same distance."""

    weights: HeldWeights  # of the convolutions
    heads: HeldWeights  # of the weights of their channels; the same file for ST-LPIPS
    device: str = field(default="cpu", compare=False)

    @cached_property
    def network(self) -> TappedStack:
        """The convolutions, read when they are first needed."""
        network = load_network(self.weights.file.name, load_weights(self.weights))
        assert isinstance(network, TappedStack)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a sixth faster on a CPU
        return network.to(self.device)

    @cached_property
    def channel_weights(self) -> list[torch.Tensor]:
        """For each tap float (C,)."""
        return [head.to(self.device) for head in channel_weights(load_weights(self.heads))]

    @property
    def key(self) -> tuple[str, ...]:
        """What the distance of a given pair depends on, as text."""
        return ("lpips 0.1", self.weights.file.name, self.weights.sha256, self.heads.sha256)

    def __call__(self, real: RGB, fake: RGB) -> float:
        """LPIPS of two uint8 images (H, W, 3) of one size, at that size; NaN where the network needs a larger one."""
        if min(real.shape[:2]) < self.network.smallest:
            return float("nan")
        with _reproducibly():
            seen, other = (self.network(lpips_full_size(image)[None].to(self.device)) for image in (real, fake))
            return float(lpips_distance(seen, other, self.channel_weights))


def channel_weights(state: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """For each of the five taps the learned weights of its channels, float (C,), from a file with LPIPS heads."""
    return [state[f"lin{tap}.model.1.weight"].flatten() for tap in range(5)]


def build_network(name: str) -> nn.Module:
    """The network of that name without values: its tensors have shapes and nothing in them."""
    with torch.device("meta"):  # no random start that could be taken for weights
        return _NETWORKS[name]()


def load_network(name: str, state: Mapping[str, torch.Tensor]) -> nn.Module:
    """The network of that name with these weights, frozen; keys of classifiers that it does not have are passed over.

    Raises:
        RestainError: a key is missing or unexpected, or a shape differs.
    """
    network = build_network(name)
    unused = network.unused
    assert isinstance(unused, tuple)
    state = numbered(state) if name in _RENAMED else state
    wanted = {key: value for key, value in state.items() if not key.startswith(unused)}
    for key in network.state_dict():
        if key.endswith(".num_batches_tracked"):  # older files lack it, and nothing reads it in evaluation
            wanted.setdefault(key, torch.tensor(0))
    try:
        network.load_state_dict(wanted, strict=True, assign=True)
    except RuntimeError as error:
        raise RestainError(f"{name}: its weights do not fit the network ({in_short(error)})") from error
    return network.eval().requires_grad_(False)


@contextmanager
def _reproducibly() -> Iterator[None]:
    """Full float32 without autotuning, so that a GPU agrees with a CPU to rounding and with itself exactly."""
    with torch.inference_mode(), torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
        yield
