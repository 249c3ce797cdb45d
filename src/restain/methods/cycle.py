"""Cycle-consistent GANs on unpaired images: CycleGAN (Zhu et al. 2017); StainGAN is a recipe of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.reconstruction import l1_loss
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.cycle_config import CycleConfig
from restain.networks.generator import Generator
from restain.networks.specs import GeneratorSpec
from restain.terms.image_pool import ImagePool
from restain.types import Batch

GENERATORS = Phase(name="generators", networks=("generator", "generator_back"))
DISCRIMINATORS = Phase(name="discriminators", networks=("discriminator_ihc", "discriminator_he"))


@dataclass(frozen=True)
class CyclePass:
    """Both ways around, image tensors."""

    ihc: Tensor  # G(I), the virtual IHC
    he_again: Tensor  # back from it
    he: Tensor  # the virtual H&E of the real IHC
    ihc_again: Tensor


class CycleMethod(Method[CyclePass]):
    """CycleGAN: the generators are stepped first, then both discriminators on images from the pools."""

    phases = (GENERATORS, DISCRIMINATORS)

    def __init__(self, config: CycleConfig, generator: GeneratorSpec, seed: int, crop: int) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleDict(
            {
                **{name: seeded(seed, name, generator.build) for name in GENERATORS.networks},
                **{name: seeded(seed, name, config.discriminator.build) for name in DISCRIMINATORS.networks},
            }
        )
        self.pools = nn.ModuleDict({stain: ImagePool(config.cycle.pool, crop) for stain in ("ihc", "he")})

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
        return self._of_generators(batch, shared) if phase is GENERATORS else self._of_discriminators(batch, shared)

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
        loss = torch.stack([weight * value for weight, value in weighted.values()]).sum()
        return Step(loss, detached({name: value for name, (_, value) in weighted.items()}))

    def _of_discriminators(self, batch: Batch, shared: CyclePass) -> Step:
        terms: dict[str, Tensor] = {}
        carried: dict[str, Tensor] = {}
        for stain, fake, real in (("ihc", shared.ihc, batch.target), ("he", shared.he, batch.source)):
            discriminator = self.networks[f"discriminator_{stain}"]
            shown, places = self._pool(stain).show(fake.detach(), batch.streams(f"pool/{stain}"))
            loss_fake, loss_real = discriminator_terms(discriminator(shown), discriminator(real), self.config.gan.mode)
            terms[f"D_{stain}"] = loss_fake + loss_real
            carried |= {f"{stain}/fake": fake.detach(), f"{stain}/place": places}
        return Step(torch.stack(list(terms.values())).sum(), detached(terms), carried)

    def after_step(
        self, terms: Mapping[str, Tensor], carried: Mapping[str, Tensor], images: int, progress: Progress
    ) -> None:
        """Take the virtual images of the step into the pools."""
        for stain in self.pools:
            self._pool(stain).keep(carried[f"{stain}/fake"], carried[f"{stain}/place"])

    def _pool(self, stain: str) -> ImagePool:
        return cast(ImagePool, self.pools[stain])
