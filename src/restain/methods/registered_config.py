"""Settings of RegGAN: a generator beside a network that registers its result onto the real IHC. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from restain.methods.needs import MethodSection, needs_crop, needs_pairs
from restain.networks.specs import GeneratorSpec, PatchganSpec, RegistrationSpec
from restain.terms.config import CorrectionConfig, GanConfig

if TYPE_CHECKING:
    from restain.methods.registered import RegisteredMethod


class RegisteredConfig(MethodSection):
    """The virtual IHC, warped by a learned displacement, is held to the pixels of the real one (RegGAN)."""

    name: Literal["registered"] = "registered"
    discriminator: PatchganSpec = PatchganSpec(ndf=64, layers=3, spectral_norm=False, antialias=False, init="normal")
    registration: RegistrationSpec = RegistrationSpec()
    gan: GanConfig = GanConfig()
    correction: CorrectionConfig = Field(CorrectionConfig(), description="comparison with the real IHC after warping")

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        yield from needs_pairs(paired)
        field = f"discriminator.layers {self.discriminator.layers}"
        yield from needs_crop(crop, {field: self.discriminator.smallest_image})
        downs = self.registration.downs
        if crop % 2**downs:
            yield f"field data.crop is {crop}; registration.downs {downs} needs a multiple of {2**downs}"

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> RegisteredMethod:
        """The method with freshly initialised networks."""
        from restain.methods.registered import RegisteredMethod

        return RegisteredMethod(self, generator, seed)
