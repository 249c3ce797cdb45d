"""Settings of ODA-GAN: contrastive learning on features that are taken apart by what tells the label. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from restain.methods.needs import DataNeeds, MethodSection, needs_contrastive_layers, needs_crop
from restain.networks.specs import GeneratorSpec, PatchganSpec, ResnetSpec
from restain.terms.config import AlignmentConfig, GanConfig, PatchesConfig, PatchNceConfig, RelatedConfig

if TYPE_CHECKING:
    from restain.methods.decoupled import DecoupledMethod

LABELS = ("tumour", "normal")


class DecoupledConfig(MethodSection):
    """CUT with orthogonal heads, two streams of features and domain alignment by class (ODA-GAN)."""

    name: Literal["decoupled"] = "decoupled"
    discriminator: PatchganSpec = PatchganSpec(ndf=64, layers=3, spectral_norm=False)
    patches: PatchesConfig = PatchesConfig()
    gan: GanConfig = GanConfig()
    patch_nce: PatchNceConfig = Field(
        PatchNceConfig(weight=1.0, identity=True), description="PatchNCE on what does not tell the label"
    )
    related: RelatedConfig = Field(RelatedConfig(), description="contrast of the classes on what tells the label")
    alignment: AlignmentConfig = Field(AlignmentConfig(), description="domain alignment of virtual and real features")

    @property
    def needs(self) -> DataNeeds:
        """Weak labels."""
        return DataNeeds(labels=LABELS)

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        yield from needs_contrastive_layers(generator, self.patches.layers)
        field = f"discriminator.layers {self.discriminator.layers}"
        yield from needs_crop(crop, {field: self.discriminator.smallest_image})
        if self.patch_nce.flip_equivariance:
            yield "field patch_nce.flip_equivariance is true; expected false, which this method has no use for"

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> DecoupledMethod:
        """The method with freshly initialised networks."""
        from restain.methods.decoupled import DecoupledMethod

        assert isinstance(generator, ResnetSpec)  # see problems
        return DecoupledMethod(self, generator, seed)
