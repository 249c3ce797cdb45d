"""Settings of the contrastive family: CUT, FastCUT, CUT + pyramid, ASP and ASP-DGRank. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from restain.methods.needs import MethodSection, needs_contrastive_layers, needs_crop
from restain.networks.specs import GeneratorSpec, PatchganSpec, ResnetSpec
from restain.terms.config import (
    A2spConfig,
    DiffusionConfig,
    GanConfig,
    PatchesConfig,
    PatchNceConfig,
    PyramidConfig,
)

if TYPE_CHECKING:
    from restain.methods.contrastive import ContrastiveMethod


class ContrastiveConfig(MethodSection):
    """Contrastive learning of a stain: the terms of Eq. 8."""

    name: Literal["contrastive"] = "contrastive"
    discriminator: PatchganSpec = PatchganSpec()
    patches: PatchesConfig = PatchesConfig()
    gan: GanConfig = GanConfig()
    patch_nce: PatchNceConfig = PatchNceConfig()
    a2sp: A2spConfig = A2spConfig()
    pyramid: PyramidConfig = PyramidConfig()
    diffusion: DiffusionConfig = DiffusionConfig()

    @model_validator(mode="after")
    def _terms_agree(self) -> ContrastiveConfig:
        if self.patch_nce.identity and self.patch_nce.flip_equivariance:
            raise ValueError(
                "fields patch_nce.identity and patch_nce.flip_equivariance are both true; expected at most one of them"
            )
        return self

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        yield from needs_contrastive_layers(generator, self.patches.layers)
        least = {f"discriminator.layers {self.discriminator.layers}": self.discriminator.smallest_image}
        if self.pyramid.weight:
            least[f"pyramid.form {self.pyramid.form}"] = self.pyramid.smallest_image
        yield from needs_crop(crop, least)

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> ContrastiveMethod:
        """The method with freshly initialised networks."""
        from restain.methods.contrastive import ContrastiveMethod

        assert isinstance(generator, ResnetSpec)  # see problems
        return ContrastiveMethod(self, generator, seed)
