"""The registry of architectures: what a recipe's ``generator:`` section and a stainer's config.json say. No torch.

A specification is plain numbers and words; ``build()`` makes the network, and only then is torch imported. A new
generator is one network file, one specification here, and its name in ``GeneratorSpec``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, PositiveInt

from restain.sections import Section

if TYPE_CHECKING:
    from restain.networks.autoencoder import AutoencoderGenerator
    from restain.networks.denoising import DenoisingGenerator
    from restain.networks.generator import Generator
    from restain.networks.multiscale import Multiscale
    from restain.networks.patchgan import PatchDiscriminator

NormKind: TypeAlias = Literal["instance", "batch"]
Init: TypeAlias = Literal["xavier", "normal"]
_EARLIEST = 1e-3  # of the times of a diffusion process: at 0 itself nothing would be noisy
_INIT = "initial weights, at a gain of 0.02: xavier-normal (CUT, ASP) or normal (pix2pix, CycleGAN)"


class ResnetSpec(Section):
    """A ResNet generator: halvings, residual blocks, doublings (Johnson et al. 2016; CycleGAN, CUT, ASP)."""

    kind: Literal["resnet"] = "resnet"
    ngf: Annotated[int, Field(ge=1, le=512)] = Field(default=64, description="channels after the first convolution")
    blocks: Annotated[int, Field(ge=1, le=64)] = Field(
        default=6, description="residual blocks: 6 (ASP-DGRank), 9 (CUT)"
    )
    downs: Annotated[int, Field(ge=1, le=5)] = Field(default=2, description="halvings: 2, or 3 (pix2pixHD, TDKStain)")
    spectral_norm: bool = Field(default=True, description="spectral normalisation of every convolution")
    norm: NormKind = Field(default="instance", description="normalisation after each convolution")
    dropout: bool = Field(default=False, description="dropout of 0.5 in the residual blocks while training")
    antialias: bool = Field(default=True, description="blur-pool and bilinear doubling; false: strided layers")
    init: Init = Field(default="xavier", description=_INIT)

    @property
    def stride(self) -> int:
        """Pixels of the image per pixel of the coarsest feature map."""
        return int(2**self.downs)

    def build(self) -> Generator:
        """The network, freshly initialised."""
        from restain.networks.resnet import ResnetGenerator

        return ResnetGenerator(self)

    def plain(self) -> ResnetSpec:
        """The same network without spectral normalisation: what a stainer holds, whose weights are folded."""
        return self.model_copy(update={"spectral_norm": False})

    def contrastive_channels(self, layer: int) -> int:
        """Channels of the encoder's feature map at contrastive layer ``layer`` (CUT's numbering).

        Raises:
            ValueError: the encoder has no such layer.
        """
        last_block = self.first_block + self.blocks - 1
        if not 0 <= layer <= last_block:
            raise ValueError(f"contrastive layer {layer} is not in the encoder, which has layers 0 to {last_block}")
        widths = {0: 3, 1: self.ngf}
        # The convolution of each halving, from layer 4 on, doubles the channels.
        widths |= {4 + level * self._layers_of_a_halving: self.ngf * 2 ** (level + 1) for level in range(self.downs)}
        return widths[max(start for start in widths if start <= layer)]

    @property
    def first_block(self) -> int:
        """Index of the first residual block in the network's list of layers."""
        return 4 + self.downs * self._layers_of_a_halving

    @property
    def halved(self) -> tuple[int, ...]:
        """Index of the last layer of each halving."""
        return tuple(3 + (level + 1) * self._layers_of_a_halving for level in range(self.downs))

    @property
    def _layers_of_a_halving(self) -> int:
        return 4 if self.antialias else 3  # convolution, norm, ReLU, blur-pool


class UnetSpec(Section):
    """The U-Net of pix2pix: 4x4 convolutions of stride 2 down to one pixel and back, with skips (Isola et al. 2017)."""

    kind: Literal["unet"] = "unet"
    ngf: Annotated[int, Field(ge=1, le=512)] = Field(default=64, description="channels after the first convolution")
    downs: Annotated[int, Field(ge=2, le=10)] = Field(default=8, description="halvings: 8 is U-Net-256, 7 is U-Net-128")
    norm: NormKind = Field(default="batch", description="normalisation after each convolution")
    dropout: bool = Field(default=True, description="dropout of 0.5 in the widest decoder stages while training")
    init: Init = Field(default="normal", description=_INIT)

    @property
    def stride(self) -> int:
        """Pixels of the image per pixel of the coarsest feature map."""
        return int(2**self.downs)

    def build(self) -> Generator:
        """The network, freshly initialised."""
        from restain.networks.unet import UnetGenerator

        return UnetGenerator(self)

    def plain(self) -> UnetSpec:
        """Itself: this network has no spectral normalisation."""
        return self


class AutoencoderSpec(Section):
    """The generator of UNIT: an encoder of one stain and a decoder of another (Liu et al. 2017)."""

    kind: Literal["autoencoder"] = "autoencoder"
    ngf: Annotated[int, Field(ge=1, le=512)] = Field(default=64, description="channels after the first convolution")
    downs: Annotated[int, Field(ge=1, le=5)] = Field(default=2, description="halvings")
    blocks: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="residual blocks of the encoder, and as many of the decoder"
    )

    @property
    def stride(self) -> int:
        """Pixels of the image per pixel of the coarsest feature map."""
        return int(2**self.downs)

    def build(self) -> AutoencoderGenerator:
        """The network, freshly initialised."""
        from restain.networks.autoencoder import AutoencoderGenerator

        return AutoencoderGenerator(self)

    def plain(self) -> AutoencoderSpec:
        """Itself: this network has no spectral normalisation."""
        return self


class DenoiserSpec(Section):
    """A generator that removes noise in a few large steps, given the H&E (SynDiff), on an anti-aliased ResNet."""

    kind: Literal["denoiser"] = "denoiser"
    ngf: Annotated[int, Field(ge=1, le=512)] = Field(default=64, description="channels after the first convolution")
    downs: Annotated[int, Field(ge=1, le=5)] = Field(default=2, description="halvings")
    blocks: Annotated[int, Field(ge=1, le=64)] = Field(default=6, description="residual blocks")
    steps: Annotated[int, Field(ge=1, le=16)] = Field(default=4, description="steps from pure noise to the image")
    beta_min: Annotated[float, Field(gt=0, le=100)] = Field(default=0.1, description="rate of noise at the image")
    beta_max: Annotated[float, Field(gt=0, le=100)] = Field(default=20.0, description="rate of noise at pure noise")
    latent: Annotated[int, Field(ge=1, le=1024)] = Field(default=100, description="numbers of the latent vector")
    style: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=256, description="numbers that time and latent vector are embedded in"
    )

    @property
    def stride(self) -> int:
        """Pixels of the image per pixel of the coarsest feature map."""
        return int(2**self.downs)

    def signal_shares(self) -> list[float]:
        """alpha_bar_0 to alpha_bar_T of the variance-preserving process, at even times from 0.001 to 1.

        alpha_bar(s) = exp(-(beta_max - beta_min) s^2 / 2 - beta_min s). Source: Song et al., Score-based generative
        modeling through stochastic differential equations (2021), Eq. 33, as Xiao et al. (2022) take it in few steps.
        """
        times = [_EARLIEST + (1 - _EARLIEST) * step / self.steps for step in range(self.steps + 1)]
        return [math.exp(-(self.beta_max - self.beta_min) * s**2 / 2 - self.beta_min * s) for s in times]

    def build(self) -> DenoisingGenerator:
        """The network, freshly initialised."""
        from restain.networks.denoising import DenoisingGenerator

        return DenoisingGenerator(self)

    def plain(self) -> DenoiserSpec:
        """Itself: this network has no spectral normalisation."""
        return self


GeneratorSpec: TypeAlias = Annotated[
    ResnetSpec | UnetSpec | AutoencoderSpec | DenoiserSpec, Field(discriminator="kind")
]


class PatchganSpec(Section):
    """A PatchGAN discriminator."""

    ndf: Annotated[int, Field(ge=1, le=512)] = Field(default=32, description="channels of the first stage")
    layers: Annotated[int, Field(ge=1, le=8)] = Field(
        default=5, description="halvings: 3 (70x70 pixels), 5 (ASP-DGRank)"
    )
    spectral_norm: bool = Field(default=True, description="spectral normalisation of every convolution")
    norm: NormKind = Field(default="instance", description="normalisation between the stages")
    antialias: bool = Field(default=True, description="blur-pool after each stage; false: strided convolutions")
    init: Init = Field(default="xavier", description=_INIT)

    def build(self, channels: PositiveInt = 3, *, timed: bool = False) -> PatchDiscriminator:
        """The network, freshly initialised.

        Args:
            channels: of its input: 3, or 6 where it sees the H&E beside the IHC.
            timed: whether it takes a diffusion time.
        """
        from restain.networks.patchgan import PatchDiscriminator

        return PatchDiscriminator(self, channels, timed=timed)

    @property
    def smallest_image(self) -> int:
        """Least side in pixels for which the discriminator still gives one score."""
        side = 3  # the last stage and the head: 4x4, padding 1
        for _ in range(self.layers):
            side = 2 * side
        return side


class MultiscalePatchganSpec(PatchganSpec):
    """PatchGAN discriminators at several scales (pix2pixHD)."""

    scales: Annotated[int, Field(ge=1, le=8)] = Field(default=3, description="scales, each half as large as the last")

    def build_all(self, channels: PositiveInt = 3) -> Multiscale:
        """The network of all scales, freshly initialised; ``channels`` of its input."""
        from restain.networks.multiscale import Multiscale

        return Multiscale(lambda: self.build(channels), self.scales)

    @property
    def smallest_image(self) -> int:
        """Least side in pixels for which the coarsest scale still gives one score."""
        return int(super().smallest_image * 2 ** (self.scales - 1))


class DensitySpec(Section):
    """The network of TDKStain that estimates the density of nuclei from features of the generator."""

    width: Annotated[int, Field(ge=1, le=1024)] = Field(default=128, description="channels")
    blocks: Annotated[int, Field(ge=1, le=64)] = Field(default=4, description="residual blocks")


class PlainDiscriminatorSpec(Section):
    """The discriminator of UNIT: strided convolutions without norms, at several scales."""

    ndf: Annotated[int, Field(ge=1, le=512)] = Field(default=64, description="channels of the first stage")
    layers: Annotated[int, Field(ge=1, le=8)] = Field(default=4, description="halvings, each with twice the channels")
    scales: Annotated[int, Field(ge=1, le=8)] = Field(default=3, description="scales, each half as large as the last")

    def build(self, channels: PositiveInt = 3) -> Multiscale:
        """The network, freshly initialised; ``channels`` of its input."""
        from restain.networks.multiscale import Multiscale, plain_discriminator

        return Multiscale(lambda: plain_discriminator(self, channels), self.scales)

    @property
    def smallest_image(self) -> int:
        """Least side in pixels: the last stage of the coarsest scale takes two pixels."""
        return int(2 ** (self.layers + self.scales - 1))


class RegistrationSpec(Section):
    """The registration network of RegGAN, a residual U-Net that predicts a displacement for each pixel."""

    width: Annotated[int, Field(ge=1, le=512)] = Field(default=32, description="channels of the first halving")
    downs: Annotated[int, Field(ge=1, le=8)] = Field(default=7, description="halvings")
    blocks: Annotated[int, Field(ge=1, le=16)] = Field(default=3, description="residual blocks at the bottom")


class ClassifierSpec(Section):
    """The classifier of Confusion-GAN that separates tumour from normal in an IHC, and that restain trains itself."""

    width: Annotated[int, Field(ge=1, le=512)] = Field(default=32, description="channels at full resolution")


class SegmenterSpec(Section):
    """The segmentation network of PSPStain, a U-Net of four halvings that restain trains itself."""

    width: Annotated[int, Field(ge=1, le=512)] = Field(default=32, description="channels at full resolution")

    classes: ClassVar[int] = 2  # background and stained

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each resolution."""
        return tuple(self.width * factor for factor in (1, 1, 2, 4, 8))
