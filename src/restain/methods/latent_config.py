"""Settings of UNIT: two autoencoders with one latent space. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field, NonNegativeFloat

from restain.methods.needs import MethodSection, needs_crop
from restain.networks.specs import AutoencoderSpec, GeneratorSpec, PlainDiscriminatorSpec
from restain.terms.config import GanConfig, LatentConfig

if TYPE_CHECKING:
    from restain.methods.latent import LatentMethod


class LatentSpaceConfig(MethodSection):
    """An encoder and a decoder for each stain, which meet in one latent space, and a discriminator for each (UNIT)."""

    name: Literal["latent"] = "latent"
    discriminator: PlainDiscriminatorSpec = PlainDiscriminatorSpec()
    gan: GanConfig = GanConfig()
    latent: LatentConfig = LatentConfig()
    weight_decay: NonNegativeFloat = Field(1e-4, description="of Adam, for all networks")

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        if not isinstance(generator, AutoencoderSpec):
            yield f"field generator.kind is {generator.kind!r}; expected 'autoencoder', which has a latent space"
        elif self.latent.shared_blocks > generator.blocks:
            yield f"field latent.shared_blocks is {self.latent.shared_blocks}; generator.blocks is {generator.blocks}"
        layers, scales = self.discriminator.layers, self.discriminator.scales
        field = f"discriminator.layers {layers} at discriminator.scales {scales}"
        yield from needs_crop(crop, {field: self.discriminator.smallest_image})

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> LatentMethod:
        """The method with freshly initialised networks."""
        from restain.methods.latent import LatentMethod

        assert isinstance(generator, AutoencoderSpec)  # see problems
        return LatentMethod(self, generator, seed)
