"""Settings of cycle-consistent GANs on unpaired images: CycleGAN, StainGAN and Confusion-GAN. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from restain.methods.needs import DataNeeds, MethodSection, needs_crop
from restain.networks.specs import ClassifierSpec, GeneratorSpec, PatchganSpec
from restain.terms.config import ConfusionConfig, CycleConsistencyConfig, GanConfig, PathologyConfig

if TYPE_CHECKING:
    from restain.methods.cycle import CycleMethod


class CycleConfig(MethodSection):
    """Two generators, H&E to IHC and back, and a discriminator for each stain."""

    name: Literal["cycle"] = "cycle"
    discriminator: PatchganSpec = PatchganSpec(ndf=64, layers=3, spectral_norm=False, antialias=False, init="normal")
    gan: GanConfig = GanConfig()
    cycle: CycleConsistencyConfig = CycleConsistencyConfig()
    confusion: ConfusionConfig = Field(ConfusionConfig(), description="virtual IHC among real ones (Confusion-GAN)")
    pathology: PathologyConfig = Field(PathologyConfig(), description="label of the H&E in the virtual IHC")
    classifier: ClassifierSpec = Field(ClassifierSpec(), description="the classifier of the pathology term")

    @property
    def needs(self) -> DataNeeds:
        """Labels, where the virtual IHC must show what the H&E is labelled as."""
        return DataNeeds(labels=("tumour", "normal") if self.pathology.weight else ())

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        field = f"discriminator.layers {self.discriminator.layers}"
        yield from needs_crop(crop, {field: self.discriminator.smallest_image})

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> CycleMethod:
        """The method with freshly initialised networks."""
        from restain.methods.cycle import CycleMethod

        return CycleMethod(self, generator, seed, crop)
