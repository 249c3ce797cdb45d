"""Settings of conditional GANs on pairs: pix2pix and its relatives. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from restain.methods.needs import MethodSection, needs_crop, needs_pairs
from restain.networks.specs import GeneratorSpec, PatchganSpec
from restain.terms.config import GanConfig, PyramidConfig, ReconstructionConfig

if TYPE_CHECKING:
    from restain.methods.conditional import ConditionalMethod


class ConditionalConfig(MethodSection):
    """A discriminator that sees the H&E beside the IHC, and a comparison of pixels with the real IHC."""

    name: Literal["conditional"] = "conditional"
    discriminator: PatchganSpec = PatchganSpec(
        ndf=64, layers=3, spectral_norm=False, norm="batch", antialias=False, init="normal"
    )
    gan: GanConfig = GanConfig(mode="vanilla")
    l1: ReconstructionConfig = ReconstructionConfig()
    pyramid: PyramidConfig = PyramidConfig(weight=0.0, form="bci")

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        yield from needs_pairs(paired)
        least = {f"discriminator.layers {self.discriminator.layers}": self.discriminator.smallest_image}
        if self.pyramid.weight:
            least[f"pyramid.form {self.pyramid.form}"] = self.pyramid.smallest_image
        yield from needs_crop(crop, least)

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> ConditionalMethod:
        """The method with freshly initialised networks."""
        from restain.methods.conditional import ConditionalMethod

        return ConditionalMethod(self, generator, seed)
