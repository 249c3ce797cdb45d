"""Cycle-consistent GANs on unpaired images: CycleGAN (Zhu et al. 2017); StainGAN is a recipe of it.

Confusion-GAN adds two terms: the virtual IHC is hidden among real ones, where it must not be found, and a classifier of
IHC must find the label of the H&E in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.reconstruction import l1_loss
from restain.methods.base import Method, Phase, Pretraining, Progress, Step, detached, seeded
from restain.methods.cycle_config import CycleConfig
from restain.networks.classifier import ImageClassifier
from restain.networks.generator import Generator
from restain.networks.patchgan import PatchDiscriminator
from restain.networks.specs import GeneratorSpec
from restain.terms.confusion import Confusion, confusion_loss
from restain.terms.image_pool import ImagePool
from restain.types import Batch

GENERATORS, DISCRIMINATORS = ("generator", "generator_back"), ("discriminator_ihc", "discriminator_he")


@dataclass(frozen=True)
class CyclePass:
    """Both ways around, image tensors."""

    ihc: Tensor  # G(I), the virtual IHC
    he_again: Tensor  # back from it
    he: Tensor  # the virtual H&E of the real IHC
    ihc_again: Tensor


class CycleMethod(Method[CyclePass]):
    """CycleGAN: the generators are stepped first, then both discriminators on images from the pools."""

    def __init__(self, config: CycleConfig, generator: GeneratorSpec, seed: int, crop: int) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleDict(
            {
                **{name: seeded(seed, name, generator.build) for name in GENERATORS},
                **{name: seeded(seed, name, config.discriminator.build) for name in DISCRIMINATORS},
            }
        )
        self.pools = nn.ModuleDict({stain: ImagePool(config.cycle.pool, crop) for stain in ("ihc", "he")})
        self.confusion: Confusion | None = None
        learning: tuple[str, ...] = DISCRIMINATORS
        if config.confusion.weight:
            slots = config.confusion.slots
            self.confusion = Confusion(slots, crop)
            width = slots * self._discriminator_ihc.width
            self.networks["confuser"] = seeded(seed, "confuser", lambda: nn.Conv2d(width, slots, 3, padding=1))
            learning = (*learning, "confuser")
        if config.pathology.weight:
            self._prepare_classifier(seed)
        self.phases = (Phase(name="generators", networks=GENERATORS), Phase(name="discriminators", networks=learning))

    def _prepare_classifier(self, seed: int) -> None:
        config = self.config
        self.classifier = seeded(seed, "classifier", lambda: ImageClassifier(config.classifier))
        self.classifier.eval().requires_grad_(False)
        self.pretrained = Pretraining(
            network=self.classifier,
            loss=lambda batch: self._label_loss(batch.target, batch.target_labels),
            steps=config.pathology.steps,
            lr=config.pathology.lr,
            settings={"network": config.classifier.model_dump(), **config.pathology.model_dump(exclude={"weight"})},
        )

    def _label_loss(self, ihc: Tensor, labels: Sequence[str]) -> Tensor:
        """Binary cross-entropy of the classifier, mean over images."""
        tumour = torch.tensor([label == "tumour" for label in labels]).to(ihc)
        return F.binary_cross_entropy_with_logits(self.classifier(ihc), tumour)

    @property
    def _discriminator_ihc(self) -> PatchDiscriminator:
        return cast(PatchDiscriminator, self.networks["discriminator_ihc"])

    def stainer(self) -> Generator:
        """The generator from H&E to IHC."""
        return cast(Generator, self.networks["generator"])

    def forward_pass(self, batch: Batch) -> CyclePass:
        """H&E to IHC and back, IHC to H&E and back."""
        there, back = self.networks["generator"], self.networks["generator_back"]
        ihc, he = there(batch.source), back(batch.target)
        return CyclePass(ihc, back(ihc), he, there(he))

    def loss(self, phase: Phase, batch: Batch, shared: CyclePass, progress: Progress) -> Step:
        """The weighted sum of the generators' terms, or the adversarial losses of the discriminators."""
        if phase.name == "generators":
            return self._of_generators(batch, shared)
        return self._of_discriminators(batch, shared)

    def _of_generators(self, batch: Batch, shared: CyclePass) -> Step:
        gan, cycle = self.config.gan, self.config.cycle
        weighted = {
            "gan_ihc": (gan.weight, generator_term(self.networks["discriminator_ihc"](shared.ihc), gan.mode)),
            "gan_he": (gan.weight, generator_term(self.networks["discriminator_he"](shared.he), gan.mode)),
            "cycle_he": (cycle.weight, l1_loss(shared.he_again, batch.source)),
            "cycle_ihc": (cycle.weight, l1_loss(shared.ihc_again, batch.target)),
        }
        if cycle.identity:
            same_ihc, same_he = self.networks["generator"](batch.target), self.networks["generator_back"](batch.source)
            weighted["identity_ihc"] = cycle.weight * cycle.identity, l1_loss(same_ihc, batch.target)
            weighted["identity_he"] = cycle.weight * cycle.identity, l1_loss(same_he, batch.source)
        if self.confusion is not None:
            scores, _ = self._find(batch, shared.ihc, learn=False)
            weighted["confusion"] = self.config.confusion.weight, confusion_loss(scores, None)
        if self.config.pathology.weight:
            weighted["pathology"] = self.config.pathology.weight, self._label_loss(shared.ihc, batch.labels)
        loss = torch.stack([weight * value for weight, value in weighted.values()]).sum()
        return Step(loss, detached({name: value for name, (_, value) in weighted.items()}))

    def _find(self, batch: Batch, fake: Tensor, *, learn: bool) -> tuple[Tensor, Tensor]:
        """Scores of all slots (N, slots, h, w), and where the virtual IHC is among them."""
        assert self.confusion is not None
        streams = batch.streams("confusion")
        trunk = self._discriminator_ihc.trunk
        features, place = self.confusion.features(fake, batch.target, streams, trunk, learn=learn)
        return self.networks["confuser"](features), place

    def _of_discriminators(self, batch: Batch, shared: CyclePass) -> Step:
        terms: dict[str, Tensor] = {}
        carried: dict[str, Tensor] = {}
        for stain, fake, real in (("ihc", shared.ihc, batch.target), ("he", shared.he, batch.source)):
            discriminator = self.networks[f"discriminator_{stain}"]
            shown, places = self._pool(stain).show(fake.detach(), batch.streams(f"pool/{stain}"))
            loss_fake, loss_real = discriminator_terms(discriminator(shown), discriminator(real), self.config.gan.mode)
            terms[f"D_{stain}"] = loss_fake + loss_real
            carried |= {f"{stain}/fake": fake.detach(), f"{stain}/place": places}
        loss = torch.stack(list(terms.values())).sum()
        if self.confusion is not None:
            terms["D_confusion"] = confusion_loss(*self._find(batch, shared.ihc.detach(), learn=True))
            loss = loss + self.config.confusion.weight * terms["D_confusion"]
            carried["ihc/real"] = batch.target
        return Step(loss, detached(terms), carried)

    def after_step(
        self, terms: Mapping[str, Tensor], carried: Mapping[str, Tensor], images: int, progress: Progress
    ) -> None:
        """Take the virtual images of the step into the pools."""
        for stain in self.pools:
            self._pool(stain).keep(carried[f"{stain}/fake"], carried[f"{stain}/place"])
        if self.confusion is not None:
            self.confusion.keep(carried["ihc/real"])

    def _pool(self, stain: str) -> ImagePool:
        return cast(ImagePool, self.pools[stain])
