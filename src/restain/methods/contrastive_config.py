"""Settings of the contrastive family: CUT, FastCUT, CUT + pyramid, ASP and ASP-DGRank. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from restain.methods.needs import MethodSection, needs_contrastive_layers, needs_crop
from restain.networks.specs import GeneratorSpec, PatchganSpec, ResnetSpec
from restain.terms.config import (
    A2spConfig,
    AmountConfig,
    DiffusionConfig,
    LowResolutionConfig,
    PairedGanConfig,
    PatchesConfig,
    PatchNceConfig,
    PyramidConfig,
    R1Config,
    StLpipsConfig,
)

if TYPE_CHECKING:
    from restain.methods.contrastive import ContrastiveMethod


class ContrastiveConfig(MethodSection):
    """Contrastive learning of a stain: the terms of Eq. 8."""

    name: Literal["contrastive"] = "contrastive"
    discriminator: PatchganSpec = PatchganSpec()
    patches: PatchesConfig = PatchesConfig()
    gan: PairedGanConfig = PairedGanConfig()
    r1: R1Config = R1Config()
    patch_nce: PatchNceConfig = PatchNceConfig()
    a2sp: A2spConfig = A2spConfig()
    pyramid: PyramidConfig = PyramidConfig()
    low_resolution: LowResolutionConfig = LowResolutionConfig()
    amount: AmountConfig = AmountConfig()
    st_lpips: StLpipsConfig = StLpipsConfig()
    diffusion: DiffusionConfig = DiffusionConfig()

    @model_validator(mode="after")
    def _terms_agree(self) -> ContrastiveConfig:
        if self.patch_nce.identity and self.patch_nce.flip_equivariance:
            raise ValueError(
                "fields patch_nce.identity and patch_nce.flip_equivariance are both true; expected at most one of them"
            )
        if self.gan.conditional and self.patch_nce.flip_equivariance:
            raise ValueError(
                "fields gan.conditional and patch_nce.flip_equivariance are both true; expected at most one of them"
            )
        return self

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        yield from needs_contrastive_layers(generator, self.patches.layers)
        if self.gan.conditional and not paired:
            yield "field gan.conditional is true; expected false where data.paired is false"
        least = {f"discriminator.layers {self.discriminator.layers}": self.discriminator.smallest_image}
        if self.pyramid.weight:
            least[f"pyramid.form {self.pyramid.form}"] = self.pyramid.smallest_image
        if self.st_lpips.weight:
            least["st_lpips.scales"] = self.st_lpips.smallest_image
        factor, layers = self.low_resolution.factor, self.patches.layers
        if self.low_resolution.weight and crop % factor:
            yield f"field data.crop is {crop}; expected a multiple of low_resolution.factor, {factor}"
        if unknown := set(self.a2sp.uniform_layers) - set(layers):
            yield f"field a2sp.uniform_layers holds {min(unknown)}; expected some of patches.layers, {layers}"
        yield from needs_crop(crop, least)

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> ContrastiveMethod:
        """The method with freshly initialised networks."""
        from restain.methods.contrastive import ContrastiveMethod

        assert isinstance(generator, ResnetSpec)  # see problems
        return ContrastiveMethod(self, generator, seed)
