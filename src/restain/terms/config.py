"""Settings of the terms. No torch, so that recipes are read in a blink."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from restain.sections import Section


class PatchesConfig(Section):
    """What the contrastive terms share: layers, patches per layer, embedding, temperature."""

    layers: tuple[int, ...] = Field((0, 4, 8, 12, 16), min_length=1, description="contrastive layers, CUT's numbering")
    count: PositiveInt = Field(256, description="locations drawn in each layer")
    dim: PositiveInt = Field(256, description="length of an embedding")
    tau: PositiveFloat = Field(0.07, description="temperature of InfoNCE")
    gain: PositiveFloat = Field(
        1.0, description="gain of the initial weights of the projection heads; 0.02 in CUT's and ASP's published code"
    )


class GanConfig(Section):
    """The adversarial term."""

    weight: NonNegativeFloat = Field(1.0, description="weight of the term")
    mode: Literal["lsgan", "vanilla", "hinge"] = Field(
        "lsgan", description="least squares, binary cross-entropy on logits (vanilla), or hinge"
    )


class PairedGanConfig(GanConfig):
    """The adversarial term, whose discriminator may see the pair."""

    conditional: bool = Field(
        False, description="show the discriminator the H&E beside the IHC, as pix2pix does; for registered pairs"
    )


class R1Config(Section):
    """The gradient penalty R1 of the discriminator on real images."""

    weight: NonNegativeFloat = Field(0.0, description="weight of the squared gradient, summed over pixels; 0: off")
    every: PositiveInt = Field(
        16, description="steps between two penalties, each of which then counts as many times (lazy)"
    )


class ContentConfig(Section):
    """PatchNCE between the H&E and the virtual IHC."""

    weight: NonNegativeFloat = Field(10.0, description="weight of the term")


class PatchNceConfig(ContentConfig):
    """PatchNCE between the H&E and the virtual IHC, with the variants of CUT and FastCUT."""

    identity: bool = Field(False, description="CUT: the real IHC is translated too, and the two terms are averaged")
    flip_equivariance: bool = Field(False, description="FastCUT: translate the mirrored H&E half of the time")


class A2spConfig(Section):
    """The attention-guided adaptive supervised patch loss (Eq. 1-3)."""

    weight: NonNegativeFloat = Field(10.0, description="weight of the term")
    locations: Literal["attention", "uniform"] = Field("attention", description="how locations are drawn (Eq. 1)")
    power: NonNegativeFloat = Field(
        1.0, description="exponent of the attention: 1 as in Eq. 1, more draws fewer places more often"
    )
    uniform_layers: tuple[int, ...] = Field(
        (), description="layers whose locations are not drawn by attention; 0 is the image, where glass attends most"
    )
    tissue_prior: bool = Field(False, description="multiply the attention by the tissue under each location")
    dab_prior: bool = Field(False, description="multiply the attention by the density of DAB in the real IHC")
    schedule: Literal["lambda", "linear", "sigmoid", "zero"] = Field(
        "lambda", description="how the share of uniform weight falls over the run"
    )
    lookup: Literal["linear", "top", "bell", "uniform"] = Field("linear", description="weight by similarity")


class PyramidConfig(Section):
    """The Gaussian pyramid term."""

    weight: NonNegativeFloat = Field(10.0, description="weight of the term")
    form: Literal["asp", "bci"] = Field("asp", description="the pyramid of ASP, or of BCI's PyramidPix2Pix")

    @property
    def smallest_image(self) -> int:
        """Least side in pixels: a blurred map must exceed its reflected border."""
        return 33 if self.form == "asp" else 5


class DiffusionConfig(Section):
    """The diffusion module in front of the discriminator (Eq. 4-7)."""

    enabled: bool = Field(True, description="whether the discriminator sees diffused images")
    beta_start: float = Field(1e-4, gt=0, lt=1, description="beta of the first step")
    beta_end: float = Field(2e-2, gt=0, lt=1, description="beta of the last step")
    sigma: NonNegativeFloat = Field(0.05, description="standard deviation of the noise; 1.0 is Eq. 5 as printed")
    clean_fraction: float = Field(0.5, ge=0, le=1, description="share of images that stay clean")
    t_min: int = Field(10, ge=2, description="least horizon T")
    t_max: int = Field(1000, ge=2, le=100_000, description="largest horizon T")
    target: float = Field(0.6, ge=-1, le=1, description="r above which the discriminator is taken to overfit")
    interval: PositiveInt = Field(4, description="steps between two moves of the horizon")
    ramp_kimg: PositiveFloat = Field(100.0, description="thousand images in which the horizon can go from end to end")
    ramp: PositiveFloat | None = Field(
        None,
        description="the same as a share of the run, in place of ramp_kimg; 0.48 is 100,000 images of MIST's 209,000",
    )

    @model_validator(mode="after")
    def _ordered(self) -> DiffusionConfig:
        for low, high in (("t_min", "t_max"), ("beta_start", "beta_end")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"field diffusion.{low} is {getattr(self, low)}; expected at most diffusion.{high}, "
                    f"{getattr(self, high)}"
                )
        return self


class ReconstructionConfig(Section):
    """A mean absolute difference of pixels."""

    weight: NonNegativeFloat = Field(100.0, description="weight of the term")


class LowResolutionConfig(Section):
    """A mean absolute difference of images at low resolution, at which displaced pairs still agree."""

    weight: NonNegativeFloat = Field(0.0, description="weight of the term")
    factor: PositiveInt = Field(
        4, description="pixels that are averaged, down and across: about the displacement of the pairs; 1: none"
    )


class AmountConfig(Section):
    """The amount of DAB (optical density): in the whole crop, over its pixels, and by place."""

    weight: NonNegativeFloat = Field(0.0, description="weight of the three parts together")
    mean: NonNegativeFloat = Field(1.0, description="share of the difference of the means")
    distribution: NonNegativeFloat = Field(0.3, description="share of the Wasserstein distance of the densities")
    blocks: NonNegativeFloat = Field(0.5, description="share of the differences in 4 x 4 blocks")


class StLpipsConfig(Section):
    """ST-LPIPS, the shift-tolerant perceptual distance, at low resolutions (Ghildyal and Liu 2022)."""

    weight: NonNegativeFloat = Field(0.0, description="weight of the term")
    network: Literal["alex", "vgg"] = Field("alex", description="whose weights are used: AlexNet or VGG16")
    scales: tuple[tuple[PositiveInt, NonNegativeFloat], ...] = Field(
        ((4, 1.0), (2, 0.5)), min_length=1, description="resolutions: pixels that are averaged, and the share of each"
    )

    @property
    def smallest_image(self) -> int:
        """Least side in pixels: the network must fit at the coarsest resolution."""
        return int({"alex": 21, "vgg": 18}[self.network] * max(factor for factor, _ in self.scales))


class DenoisingConfig(Section):
    """The terms of SynDiff beside the adversarial ones."""

    reconstruction: NonNegativeFloat = Field(0.5, description="weight of the difference of predicted and real IHC")
    cycle: NonNegativeFloat = Field(0.5, description="weight of the cycle terms of the translators")
    penalty: NonNegativeFloat = Field(
        1.0, description="weight gamma of R1, the squared gradient of a score of a real image (halved in the sum)"
    )
    penalty_every: PositiveInt = Field(10, description="steps between two penalties")


class CycleConsistencyConfig(Section):
    """Cycle consistency of two generators (CycleGAN)."""

    weight: NonNegativeFloat = Field(10.0, description="weight of the cycle terms, the same in both directions")
    identity: NonNegativeFloat = Field(0.5, description="weight of the identity terms, as a share of the cycle terms'")
    pool: PositiveInt = Field(50, description="earlier virtual images that each discriminator may be shown again")


class RelatedConfig(Section):
    """Contrast of classes on the features that separate them (ODA-GAN)."""

    weight: NonNegativeFloat = Field(1.0, description="weight of the term; not published")


class AlignmentConfig(Section):
    """Maximum mean discrepancy of virtual and real features of one class (ODA-GAN)."""

    weight: NonNegativeFloat = Field(1.0, description="weight of the term; not published")
    sigma: PositiveFloat = Field(1.0, description="width of the Gaussian kernel")
    queue: PositiveInt = Field(1024, description="features of earlier real images that are kept of each class")


class ConfusionConfig(Section):
    """A virtual image hidden among real ones (Confusion-GAN)."""

    weight: NonNegativeFloat = Field(0.0, description="weight of the term")
    slots: int = Field(32, ge=2, le=256, description="images that are looked at together")


class PathologyConfig(Section):
    """The H&E's label found again in the virtual IHC by a classifier (Confusion-GAN)."""

    weight: NonNegativeFloat = Field(0.0, description="weight of the term")
    steps: PositiveInt = Field(2000, description="steps in which the classifier is trained before the first step")
    lr: PositiveFloat = Field(1e-3, description="learning rate of that training")


class CorrectionConfig(Section):
    """Comparison of a warped virtual IHC with the real one, and the smoothness of the warp (RegGAN)."""

    weight: NonNegativeFloat = Field(20.0, description="weight of the mean absolute difference after warping")
    smoothness: NonNegativeFloat = Field(
        10.0, description="weight of the squared differences of neighbouring displacements, which grow with resolution"
    )


class ProteinConfig(Section):
    """Amounts of protein at three levels, from the focal optical density (PSPStain's MLPA)."""

    average: NonNegativeFloat = Field(
        4.0, description="weight of the sum of an image; 1, summed over a batch of four, in the released code"
    )
    histogram: NonNegativeFloat = Field(1.0, description="weight of the sums in 20 bins of density")
    blocks: NonNegativeFloat = Field(1.0, description="weight of the sums in 4 x 4 blocks")
    released: bool = Field(
        True,
        description="take [-1, 1] for the light, as the released code does and as its thresholds expect; false: [0, 1]",
    )


class PrototypesConfig(Section):
    """Consistency of the prototypes of stained and other pixels across the two images (PSPStain's CTPC)."""

    weight: NonNegativeFloat = Field(
        10.0, description="weight of the term; 2.5, summed over a batch of four, in the released code"
    )
    softmax_twice: bool = Field(
        True, description="give probabilities as scores to the cross-entropy, as the released code does"
    )
    steps: PositiveInt = Field(2000, description="steps in which the segmentation network is learned beforehand")
    lr: PositiveFloat = Field(1e-3, description="learning rate of these steps")


class StructureConfig(Section):
    """1 - MS-SSIM between the virtual and the real IHC."""

    weight: NonNegativeFloat = Field(0.25, description="weight of the term")
    scales: int = Field(5, ge=1, le=5, description="scales of MS-SSIM; a crop must hold its window at the coarsest")

    @property
    def smallest_image(self) -> int:
        """Least side in pixels: the window of 11 pixels must fit into the coarsest scale."""
        return int(11 * 2 ** (self.scales - 1))


class LatentConfig(Section):
    """The shared latent space of two autoencoders (UNIT)."""

    reconstruction: NonNegativeFloat = Field(10.0, description="weight of an image against itself decoded")
    cycle: NonNegativeFloat = Field(10.0, description="weight of an image against itself translated there and back")
    prior: NonNegativeFloat = Field(0.01, description="weight of the squared latent means, encoded from real images")
    prior_cycle: NonNegativeFloat = Field(0.01, description="the same, encoded from virtual images")
    shared_blocks: NonNegativeInt = Field(
        0, description="last residual blocks of the encoders and first of the decoders that both stains share"
    )


class MaskConfig(Section):
    """The H&E under the DAB alone, translated, against the DAB alone (TDKStain)."""

    weight: NonNegativeFloat = Field(10.0, description="weight of the term")


class DensityConfig(Section):
    """The density of nuclei, estimated from features of the generator (TDKStain)."""

    weight: NonNegativeFloat = Field(10.0, description="weight of the term, for the estimator and for the generator")
    nuclei: str | None = Field(
        None, description="folder of label images (PNG or TIFF, named as the IHC) of a better detector of nuclei"
    )
    membranous: bool = Field(False, description="whether DAB is on membranes, so that it does not mark nuclei (HER2)")
    sigma: PositiveFloat = Field(11.0, description="pixels over which a nucleus is spread")
