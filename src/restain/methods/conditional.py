"""Conditional GANs on pairs: pix2pix (Isola et al. 2017) and PyramidPix2Pix (Liu et al. 2022).

The discriminator sees the H&E beside a real or a virtual IHC; the generator is also held to the pixels of the real IHC,
or to its Gaussian pyramid.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.pyramid import pyramid_loss
from restain.losses.reconstruction import l1_loss
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.conditional_config import ConditionalConfig
from restain.networks.generator import Generator
from restain.networks.specs import GeneratorSpec
from restain.types import Batch

DISCRIMINATOR = Phase(name="discriminator", networks=("discriminator",))
GENERATOR = Phase(name="generator", networks=("generator",))


class ConditionalMethod(Method[Tensor]):
    """pix2pix; what the phases share is the virtual IHC."""

    phases = (DISCRIMINATOR, GENERATOR)

    def __init__(self, config: ConditionalConfig, generator: GeneratorSpec, seed: int) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleDict(
            {
                "generator": seeded(seed, "generator", generator.build),
                "discriminator": seeded(seed, "discriminator", lambda: config.discriminator.build(channels=6)),
            }
        )

    def stainer(self) -> Generator:
        """G."""
        return cast(Generator, self.networks["generator"])

    def forward_pass(self, batch: Batch) -> Tensor:
        """G(I)."""
        return cast(Tensor, self.networks["generator"](batch.source))

    def loss(self, phase: Phase, batch: Batch, shared: Tensor, progress: Progress) -> Step:
        """The adversarial loss of D, or the weighted sum of G's terms."""
        if phase is DISCRIMINATOR:
            fake, real = self._score(batch, shared.detach()), self._score(batch, batch.target)
            loss_fake, loss_real = discriminator_terms(fake, real, self.config.gan.mode)
            return Step(loss_fake + loss_real, detached({"D_fake": loss_fake, "D_real": loss_real}))
        weighted = list(self._terms(batch, shared))
        loss = torch.stack([weight * value for _, weight, value in weighted]).sum()
        return Step(loss, detached({name: value for name, _, value in weighted}))

    def _terms(self, batch: Batch, fake: Tensor) -> Iterator[tuple[str, float, Tensor]]:
        config = self.config
        yield "gan", config.gan.weight, generator_term(self._score(batch, fake), config.gan.mode)
        if config.l1.weight:
            yield "l1", config.l1.weight, l1_loss(fake, batch.target, batch.weights)
        if config.pyramid.weight:
            yield "pyramid", config.pyramid.weight, pyramid_loss(fake, batch.target, config.pyramid.form, batch.weights)

    def _score(self, batch: Batch, ihc: Tensor) -> Tensor:
        return cast(Tensor, self.networks["discriminator"](torch.cat([batch.source, ihc], dim=1)))
