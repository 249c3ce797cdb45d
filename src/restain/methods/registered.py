"""RegGAN (Kong et al. 2021), one direction with registration: pairs may be displaced.

A registration network looks at the virtual and the real IHC and predicts a displacement for each pixel. The virtual
IHC, warped by it, is compared with the real one. Both networks are stepped together, before the discriminator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.reconstruction import l1_loss
from restain.losses.smoothness import smoothness_loss
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.registered_config import RegisteredConfig
from restain.networks.displacement import DisplacementNetwork, warp
from restain.networks.generator import Generator
from restain.networks.specs import GeneratorSpec
from restain.types import Batch

GENERATOR = Phase(name="generator", networks=("generator", "registration"))
DISCRIMINATOR = Phase(name="discriminator", networks=("discriminator",))


class RegisteredMethod(Method[Tensor]):
    """RegGAN; what the phases share is the virtual IHC."""

    phases = (GENERATOR, DISCRIMINATOR)

    def __init__(self, config: RegisteredConfig, generator: GeneratorSpec, seed: int) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleDict(
            {
                "generator": seeded(seed, "generator", generator.build),
                "registration": seeded(seed, "registration", lambda: DisplacementNetwork(config.registration)),
                "discriminator": seeded(seed, "discriminator", config.discriminator.build),
            }
        )

    def stainer(self) -> Generator:
        """G."""
        return cast(Generator, self.networks["generator"])

    def forward_pass(self, batch: Batch) -> Tensor:
        """G(I)."""
        return cast(Tensor, self.networks["generator"](batch.source))

    def loss(self, phase: Phase, batch: Batch, shared: Tensor, progress: Progress) -> Step:
        """The terms of G and R, or the adversarial loss of D, which the published code does not halve."""
        mode = self.config.gan.mode
        if phase is DISCRIMINATOR:
            halves = discriminator_terms(self._score(shared.detach()), self._score(batch.target), mode)
            fake, real = (2 * half for half in halves)
            return Step(fake + real, detached({"D_fake": fake, "D_real": real}))
        displacement = self.networks["registration"](shared, batch.target)
        config = self.config
        weighted = {
            "gan": (config.gan.weight, generator_term(self._score(shared), mode)),
            "correction": (config.correction.weight, l1_loss(warp(shared, displacement), batch.target, batch.weights)),
            "smoothness": (config.correction.smoothness, smoothness_loss(displacement)),
        }
        loss = torch.stack([weight * value for weight, value in weighted.values()]).sum()
        return Step(loss, detached({name: value for name, (_, value) in weighted.items()}))

    @torch.no_grad()
    def pictures(self, batch: Batch) -> Mapping[str, Tensor]:
        """Length of the displacement at each pixel."""
        images = self.forward_pass(batch), batch.target
        stride = 2**self.config.registration.downs
        height, width = (side // stride * stride for side in batch.target.shape[-2:])
        if not height or not width:
            return {}
        displacement = self.networks["registration"](*(image[..., :height, :width] for image in images))
        return {"displacement": displacement.square().sum(dim=1).sqrt()}

    def _score(self, ihc: Tensor) -> Tensor:
        """One score for each image: RegGAN averages the map before it compares with the label."""
        return cast(Tensor, self.networks["discriminator"](ihc)).mean(dim=(1, 2, 3))
