"""A stainer: a generator that is ready to use, with what is known of it and what its norms are fixed to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from restain.appearance import Appearance
from restain.errors import RestainError
from restain.images import RGB
from restain.networks.batch_norms import batch_norms
from restain.networks.generator import Generator
from restain.networks.statistics import Statistics, freeze, measure
from restain.tensors import to_rgb, to_tensor

Norm: TypeAlias = Literal["stainer", "image"]

PictureType = TypeVar("PictureType", RGB, Image.Image)


@dataclass(frozen=True)
class StainerCard:
    """What is known of a stainer, in ``config.json``."""

    stain: str | None  # name of the marker
    mpp: float | None  # microns per pixel of the images that it was trained on
    tile_size: int  # side of the training crops in pixels
    recipe: str
    trained: Mapping[str, Any]  # how: steps, pairs, data fingerprint, hardware, ...


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was measured on crops of H&E, and on which."""

    statistics: Statistics  # that the norms are fixed to; empty where the generator needs none
    appearance: Appearance  # of the crops themselves
    crops: int
    side: int  # of a crop, pixels
    date: str  # ISO 8601
    data: str | None = None  # name of the data set
    fingerprint: str | None = None  # of its files


@dataclass(frozen=True)
class Stainer:
    """A generator that is ready to use, and that knows its identity."""

    generator: Generator  # float image tensors (N, 3, H, W) in [-1, 1], in and out; in eval mode
    card: StainerCard
    weights_sha256: str
    calibration: Calibration | None = None

    @property
    def statistics(self) -> Statistics | None:
        """What its norms are fixed to; None where nothing was measured."""
        return self.calibration.statistics if self.calibration else None

    @property
    def identity(self) -> str:
        """SHA-256 of all that decides what it paints: the weights, and the statistics where it has some."""
        if self.statistics is None or not self.statistics.means:
            return self.weights_sha256
        digest = hashlib.sha256(self.weights_sha256.encode())
        for values in (*self.statistics.means, *self.statistics.variances):
            digest.update(values.numpy().tobytes())
        return digest.hexdigest()

    @property
    def fixed(self) -> bool:
        """Whether its norms take nothing from the image, with or without statistics: batch norms do not."""
        return not self.generator.norm_sites()

    @property
    def adaptable(self) -> bool:
        """Whether its norms can be fixed to the statistics of other H&E."""
        return not self.fixed or bool(batch_norms(self.generator))

    @property
    def batch(self) -> int:
        """Crops that its norms met together in training; 1 where that is not known."""
        known = (self.card.trained.get(name) for name in ("batch", "images_per_step"))
        return next((value for value in known if isinstance(value, int) and value > 0), 1)

    def measure(self, crops: Iterable[Tensor]) -> Statistics:
        """What its norms are to be fixed to for this H&E: image tensors (1, 3, h, w), of the training's size.

        Batch norms meet ``batch`` crops together.
        """
        return measure(self.generator, crops, self.batch)

    @property
    def default_norm(self) -> Norm:
        """``stainer`` where its norms are fixed or it has statistics to fix them to, else ``image``."""
        return "stainer" if self.fixed or self.statistics is not None else "image"

    def fixed_with(self, norm: Norm) -> bool:
        """Whether its norms take nothing from the image with this choice.

        Raises:
            RestainError: there is no such choice.
        """
        if norm not in get_args(Norm):
            raise RestainError(f"norm is {norm!r}; expected {' or '.join(get_args(Norm))}")
        return self.fixed or norm == "stainer"

    @torch.inference_mode()
    def __call__(self, picture: PictureType) -> PictureType:
        """Stain one picture, as ``restain stain --precision 32`` does.

        Args:
            picture: H&E, uint8 (H, W, 3), or a Pillow image of mode RGB.

        Returns:
            the virtual stain, of the same type and size.

        Raises:
            RestainError: the picture is of another type or mode, or smaller than the network allows.
        """
        pixels = np.asarray(picture)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise RestainError(
                f"picture: is {pixels.dtype} of shape {pixels.shape}; expected 8-bit RGB, uint8 (height, width, 3)"
            )
        device = next(self.generator.parameters()).device
        try:
            stained = to_rgb(self.network()(to_tensor(np.array(pixels))[None].to(device))[0])
        except ValueError as error:  # smaller than the network allows
            raise RestainError(f"picture: {error}") from None
        return stained if isinstance(picture, np.ndarray) else Image.fromarray(stained)

    def network(self, norm: Norm | None = None, *, statistics: Statistics | None = None) -> Generator:
        """The generator with its normalisation decided.

        Args:
            norm: ``stainer`` fixes the norms to the stainer's own statistics, ``image`` lets each image be normalised
                by itself; ``default_norm`` where left out. It makes no difference where the norms are fixed.
            statistics: fixes the norms to these instead, batch norms too.

        Raises:
            RestainError: no such norm, the stainer has no statistics, or those given are another generator's.
        """
        if statistics is not None:
            return freeze(self.generator, statistics)
        wanted = self.fixed_with(norm or self.default_norm)
        if self.fixed or not wanted:
            return self.generator
        if self.statistics is None:
            raise RestainError(
                "norm is 'stainer', but this stainer has no statistics; measure them with restain calibrate, "
                "or choose norm 'image'"
            )
        return freeze(self.generator, self.statistics)
