"""Settings of cycle-consistent GANs on unpaired images: CycleGAN and StainGAN. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from restain.methods.needs import MethodSection, needs_crop
from restain.networks.specs import GeneratorSpec, PatchganSpec
from restain.terms.config import CycleConsistencyConfig, GanConfig

if TYPE_CHECKING:
    from restain.methods.cycle import CycleMethod


class CycleConfig(MethodSection):
    """Two generators, H&E to IHC and back, and a discriminator for each stain."""

    name: Literal["cycle"] = "cycle"
    discriminator: PatchganSpec = PatchganSpec(ndf=64, layers=3, spectral_norm=False, antialias=False, init="normal")
    gan: GanConfig = GanConfig()
    cycle: CycleConsistencyConfig = CycleConsistencyConfig()

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        field = f"discriminator.layers {self.discriminator.layers}"
        yield from needs_crop(crop, {field: self.discriminator.smallest_image})

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> CycleMethod:
        """The method with freshly initialised networks."""
        from restain.methods.cycle import CycleMethod

        return CycleMethod(self, generator, seed, crop)
