"""Settings of PSPStain: contrastive learning held to the amount and to the place of DAB. No torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from restain.methods.needs import MethodSection, needs_contrastive_layers, needs_crop, needs_pairs
from restain.networks.specs import GeneratorSpec, PatchganSpec, ResnetSpec, SegmenterSpec
from restain.terms.config import (
    ContentConfig,
    GanConfig,
    PatchesConfig,
    ProteinConfig,
    PrototypesConfig,
    PyramidConfig,
    StructureConfig,
)

if TYPE_CHECKING:
    from restain.methods.semantic import SemanticMethod


class SemanticConfig(MethodSection):
    """PatchNCE and the pyramid, with PSPStain's terms on amounts of protein and on prototypes of stained pixels."""

    name: Literal["semantic"] = "semantic"
    discriminator: PatchganSpec = PatchganSpec()
    discriminator_lr: float = Field(0.05, gt=0, description="learning rate of the discriminator as a share of optim.lr")
    segmenter: SegmenterSpec = SegmenterSpec()
    patches: PatchesConfig = PatchesConfig(gain=0.02)
    gan: GanConfig = GanConfig()
    patch_nce: ContentConfig = ContentConfig(weight=1.0)
    pyramid: PyramidConfig = PyramidConfig()
    protein: ProteinConfig = Field(ProteinConfig(), description="amounts of protein at three levels")
    prototypes: PrototypesConfig = Field(PrototypesConfig(), description="prototypes of stained and other pixels")
    structure: StructureConfig = Field(StructureConfig(), description="multi-scale structural similarity")

    def problems(self, generator: GeneratorSpec, *, crop: int, paired: bool) -> Iterator[str]:
        """Sentences about fields of other sections that do not go together with these."""
        yield from needs_pairs(paired)
        yield from needs_contrastive_layers(generator, self.patches.layers)
        least = {
            f"discriminator.layers {self.discriminator.layers}": self.discriminator.smallest_image,
            f"pyramid.form {self.pyramid.form}": self.pyramid.smallest_image,
            f"structure.scales {self.structure.scales}": self.structure.smallest_image,
        }
        yield from needs_crop(crop, least)

    def build(self, generator: GeneratorSpec, *, seed: int, crop: int) -> SemanticMethod:
        """The method with freshly initialised networks."""
        from restain.methods.semantic import SemanticMethod

        assert isinstance(generator, ResnetSpec)  # see problems
        return SemanticMethod(self, generator, seed)
