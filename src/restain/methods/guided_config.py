"""Settings of TDKStain: a conditional GAN guided by where DAB is and how dense nuclei are. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from restain.methods.needs import DataNeeds, MethodSection, needs_crop, needs_pairs
from restain.networks.specs import DensitySpec, GeneratorSpec, MultiscalePatchganSpec, ResnetSpec
from restain.terms.config import DensityConfig, GanConfig, MaskConfig, ReconstructionConfig

if TYPE_CHECKING:
    from restain.methods.guided import GuidedMethod


class GuidedConfig(MethodSection):
    """pix2pixHD with a term under the DAB and one on the density of nuclei, from maps that are prepared (TDKStain)."""

    name: Literal["guided"] = "guided"
    discriminator: MultiscalePatchganSpec = MultiscalePatchganSpec(
        ndf=64, layers=3, spectral_norm=False, antialias=False, init="normal"
    )
    estimator: DensitySpec = DensitySpec()
    gan: GanConfig = GanConfig()
    l1: ReconstructionConfig = ReconstructionConfig(weight=10.0)
    mask: MaskConfig = Field(MaskConfig(), description="the DAB alone")
    density: DensityConfig = Field(DensityConfig(), description="the density of nuclei, and how it is found")

    @property
    def needs(self) -> DataNeeds:
        """Maps of DAB and of nuclei."""
        return DataNeeds(maps=True)

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        yield from needs_pairs(paired)
        if not isinstance(generator, ResnetSpec):
            yield f"field generator.kind is {generator.kind!r}; expected 'resnet', whose encoder the estimator reads"
        layers, scales = self.discriminator.layers, self.discriminator.scales
        field = f"discriminator.layers {layers} at discriminator.scales {scales}"
        yield from needs_crop(crop, {field: self.discriminator.smallest_image})

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> GuidedMethod:
        """The method with freshly initialised networks."""
        from restain.methods.guided import GuidedMethod

        assert isinstance(generator, ResnetSpec)  # see problems
        return GuidedMethod(self, generator, seed)
