"""What a generator is: all that training, stainer folders, export, inference and slides may ask of one.

Nobody asks for its class. An architecture says what it is (``spec``), how far it sees (``receptive_field``), and which
of its norms take their statistics from the image (``norm_sites``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.networks.noise import Place
from restain.networks.specs import GeneratorSpec


@dataclass(frozen=True)
class ReceptiveField:
    """How far a generator sees, norms apart."""

    radius: int  # pixels: an input pixel farther than this from an output pixel cannot change it; a multiple of stride
    stride: int  # pixels of the image per pixel of the coarsest feature map: the lattice on which tiles must lie


@dataclass(frozen=True)
class NormSite:
    """A norm that takes its statistics from the image, and the convolution whose output it normalises."""

    name: str  # dotted path of the norm in the generator
    convolution: str  # dotted path of the convolution right before it
    channels: int
    scale: int  # pixels of the image per pixel of the feature map
    joint: bool = False  # one mean and one variance over all channels together (layer norm), not one for each


class Generator(nn.Module, ABC):
    """H&E -> IHC, image tensor to image tensor, of any height and width from ``smallest`` pixels."""

    spec: GeneratorSpec
    stochastic: ClassVar[bool] = False  # whether it draws noise; the noise then follows from the place of each pixel
    place: Place  # of a stochastic one: where the images that it is given lie

    @property
    @abstractmethod
    def smallest(self) -> int:
        """Least side of an image, in pixels."""

    @abstractmethod
    def receptive_field(self) -> ReceptiveField:
        """How far the network sees, and the lattice on which it works; always the same object."""

    @abstractmethod
    def norm_sites(self) -> Sequence[NormSite]:
        """Norms with statistics from the image, in the order in which they run; none where all are fixed."""

    @abstractmethod
    def paint(self, x: Tensor) -> Tensor:
        """The network on an image (N, 3, H, W) whose sides are multiples of the stride."""

    def forward(self, x: Tensor) -> Tensor:
        """Translate ``x``, (N, 3, H, W) in [-1, 1]; other sides than multiples of the stride are reflected and cropped.

        Raises:
            ValueError: a side is smaller than ``smallest``.
        """
        height, width = x.shape[-2:]
        return self.paint(self.padded(x))[..., :height, :width].to(x.dtype)

    def padded(self, x: Tensor) -> Tensor:
        """``x`` reflected at the right and the bottom to multiples of the stride."""
        height, width = x.shape[-2:]
        if min(height, width) < self.smallest:
            raise ValueError(
                f"image is {height}x{width} pixels; the generator needs at least {self.smallest}x{self.smallest}"
            )
        stride = self.receptive_field().stride
        right, bottom = -width % stride, -height % stride
        return F.pad(x, (0, right, 0, bottom), mode="reflect") if right or bottom else x


def plain_state(generator: Generator) -> dict[str, Tensor]:
    """The generator's state with every spectrally normalised weight as the plain weight that it evaluates to.

    The generator is left as it is, the power iterations of its spectral norms included.
    """
    state = {key: value for key, value in generator.state_dict().items() if ".parametrizations." not in key}
    with torch.no_grad():
        for name, module in generator.named_modules():
            for key, parametrization in getattr(module, "parametrizations", {}).items():
                training = parametrization.training
                parametrization.eval()  # in training, each look at the weight is a power iteration
                state[f"{name}.{key}"] = getattr(module, key).detach().clone()
                parametrization.train(training)
    return state


def plain_copy(generator: Generator) -> Generator:
    """A copy on the same device, in eval mode and without gradients, whose spectral norms are folded into its weights.

    It is built anew from the specification. To fold a deep copy would break the original: modules with a
    parametrization share their class with their deep copies. Norms that were folded before are so in the copy.
    """
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and replaced
        copied = generator.spec.plain().build()
    present = {site.name for site in generator.norm_sites()}
    for site in copied.norm_sites():
        if site.name not in present:
            remove_norm(copied, site)
    copied.load_state_dict(plain_state(generator))
    return copied.to(next(generator.parameters())).eval().requires_grad_(False)


def remove_norm(generator: Generator, site: NormSite) -> None:
    """Put an identity in the place of a norm; the convolution before it has a bias from then on."""
    replace_module(generator, site.name, nn.Identity())
    convolution = generator.get_submodule(site.convolution)
    assert isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d)
    if convolution.bias is None:
        convolution.bias = nn.Parameter(convolution.weight.new_zeros(convolution.out_channels))


def replace_module(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put ``module`` at the dotted path ``name``."""
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)
