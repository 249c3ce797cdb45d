"""Settings of SynDiff: adversarial diffusion in few steps, on unpaired images. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat

from restain.methods.needs import MethodSection, needs_crop
from restain.networks.specs import DenoiserSpec, GeneratorSpec, PatchganSpec, ResnetSpec
from restain.terms.config import DenoisingConfig, GanConfig

if TYPE_CHECKING:
    from restain.methods.diffusive import DiffusiveMethod


class DiffusiveConfig(MethodSection):
    """A diffusion model of few adversarial steps, given an H&E that a pair of translators supplies (SynDiff)."""

    name: Literal["diffusive"] = "diffusive"
    translator: ResnetSpec = ResnetSpec(spectral_norm=False)
    discriminator: PatchganSpec = PatchganSpec(ndf=64, layers=3, spectral_norm=False)
    discriminator_lr: PositiveFloat = Field(0.625, description="factor on the learning rate for all discriminators")
    gan: GanConfig = GanConfig(mode="vanilla")
    denoising: DenoisingConfig = DenoisingConfig()

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        if not isinstance(generator, DenoiserSpec):
            yield f"field generator.kind is {generator.kind!r}; expected 'denoiser', which removes noise step by step"
        field = f"discriminator.layers {self.discriminator.layers}"
        yield from needs_crop(crop, {field: self.discriminator.smallest_image})

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> DiffusiveMethod:
        """The method with freshly initialised networks."""
        from restain.methods.diffusive import DiffusiveMethod

        assert isinstance(generator, DenoiserSpec)  # see problems
        return DiffusiveMethod(self, generator, seed)
