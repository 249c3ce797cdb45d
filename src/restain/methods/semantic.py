"""PSPStain (Chen et al. 2024): contrastive learning that is held to the amount and to the place of DAB.

Beside the adversarial term, PatchNCE and the Gaussian pyramid, the virtual IHC must hold as much protein as the real
one (in the whole image, in each class of density, in each block), and its stained and unstained pixels must look like
those of the real one to a segmentation network that was learned beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.averages import mean_of_images
from restain.losses.optical_density import dab_mask, focal_optical_density, protein_losses
from restain.losses.prototypes import prototype_loss
from restain.losses.pyramid import pyramid_loss
from restain.losses.structure import ms_ssim
from restain.methods.base import Method, Phase, Pretraining, Progress, Step, detached, seeded
from restain.methods.semantic_config import SemanticConfig
from restain.networks.projector import PatchProjector
from restain.networks.resnet import ResnetGenerator
from restain.networks.segmenter import SegmentationNetwork
from restain.networks.specs import ResnetSpec
from restain.terms.patch_nce import PatchNce
from restain.terms.patches import PatchEmbedder
from restain.types import Batch


@dataclass(frozen=True)
class SemanticPass:
    """One pass of the generator over a batch."""

    fake: Tensor  # virtual IHC, image tensor
    features: list[Tensor]  # the H&E's features at the contrastive layers, from the same pass


class SemanticMethod(Method[SemanticPass]):
    """PSPStain; the segmentation network is learned on the real IHC before the first step."""

    def __init__(self, config: SemanticConfig, generator: ResnetSpec, seed: int) -> None:
        super().__init__()
        self.config = config
        widths = [generator.contrastive_channels(tap) for tap in config.patches.layers]
        patches = config.patches
        projector = seeded(seed, "projector", lambda: PatchProjector(widths, patches.dim, patches.gain))
        self.networks = nn.ModuleDict(
            {
                "generator": seeded(seed, "generator", generator.build),
                "projector": projector,
                "discriminator": seeded(seed, "discriminator", config.discriminator.build),
            }
        )
        self.phases = (
            Phase(name="discriminator", networks=("discriminator",), lr_factor=config.discriminator_lr),
            Phase(name="generator", networks=("generator", "projector")),
        )
        self._patch_nce = PatchNce(PatchEmbedder(patches, projector))
        self.segmenter = seeded(seed, "segmenter", lambda: SegmentationNetwork(config.segmenter))
        self.segmenter.eval().requires_grad_(False)
        self.pretrained = Pretraining(
            network=self.segmenter,
            loss=self._segmentation_loss,
            steps=config.prototypes.steps,
            lr=config.prototypes.lr,
            settings={
                "network": config.segmenter.model_dump(),
                "released": config.protein.released,
                "steps": config.prototypes.steps,
                "lr": config.prototypes.lr,
            },
        )

    def stainer(self) -> ResnetGenerator:
        """G."""
        return cast(ResnetGenerator, self.networks["generator"])

    def forward_pass(self, batch: Batch) -> SemanticPass:
        """G(I) with the features of I from the same pass."""
        return SemanticPass(*self.stainer().translate(batch.source, self.config.patches.layers))

    def loss(self, phase: Phase, batch: Batch, shared: SemanticPass, progress: Progress) -> Step:
        """The adversarial loss of D, or the weighted sum of G's terms."""
        discriminator, mode = self.networks["discriminator"], self.config.gan.mode
        if phase.name == "discriminator":
            fake, real = discriminator(shared.fake.detach()), discriminator(batch.target)
            loss_fake, loss_real = discriminator_terms(fake, real, mode)
            return Step(loss_fake + loss_real, detached({"D_fake": loss_fake, "D_real": loss_real}))
        weighted = list(self._terms(batch, shared))
        loss = torch.stack([weight * value for _, weight, value in weighted]).sum()
        return Step(loss, detached({name: value for name, _, value in weighted}))

    def _terms(self, batch: Batch, shared: SemanticPass) -> Iterator[tuple[str, float, Tensor]]:
        config, fake, real = self.config, shared.fake, batch.target
        yield "gan", config.gan.weight, generator_term(self.networks["discriminator"](fake), config.gan.mode)
        queries = self.stainer().encode(fake, config.patches.layers)
        content = self._patch_nce(queries, shared.features, batch.streams("patch_nce"))
        yield "patch_nce", config.patch_nce.weight, content
        yield "pyramid", config.pyramid.weight, pyramid_loss(fake, real, config.pyramid.form, batch.weights)
        structure = mean_of_images(1 - ms_ssim(fake, real, config.structure.scales), batch.weights)
        yield "structure", config.structure.weight, structure
        densities = [focal_optical_density(image, released=config.protein.released) for image in (fake, real)]
        protein = protein_losses(densities[0], densities[1], batch.weights)
        yield "protein_average", config.protein.average, protein.average
        yield "protein_histogram", config.protein.histogram, protein.histogram
        yield "protein_blocks", config.protein.blocks, protein.blocks
        seen = [self.segmenter(image) for image in (fake, real)]
        consistency = prototype_loss(
            (seen[0][0], seen[1][0]),
            (seen[0][1].softmax(dim=1), seen[1][1].softmax(dim=1)),
            (dab_mask(densities[0]).long(), dab_mask(densities[1]).long()),
            softmax_twice=config.prototypes.softmax_twice,
        )
        yield "prototypes", config.prototypes.weight, consistency

    def _segmentation_loss(self, batch: Batch) -> Tensor:
        """Cross-entropy of the segmentation network on the real IHC, against its mask of stained pixels."""
        mask = dab_mask(focal_optical_density(batch.target, released=self.config.protein.released))
        return F.cross_entropy(self.segmenter(batch.target)[1], mask.long())

    @torch.no_grad()
    def pictures(self, batch: Batch) -> Mapping[str, Tensor]:
        """How sure the segmentation network is that a pixel of the real IHC is stained."""
        return {"stained": self.segmenter(batch.target)[1].softmax(dim=1)[:, 1]}
