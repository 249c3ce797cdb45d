"""UNIT (Liu et al. 2017): two variational autoencoders with one latent space, on unpaired images.

Each stain is encoded to the means of a unit Gaussian; what one encoder writes, both decoders read. A stain is
translated by decoding it as the other. The stainer is the encoder of the H&E with the decoder of the IHC; both
generators of the method are such pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.reconstruction import l1_loss
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.latent_config import LatentSpaceConfig
from restain.networks.autoencoder import AutoencoderGenerator
from restain.networks.specs import AutoencoderSpec
from restain.tensors import full_precision
from restain.types import Batch


@dataclass(frozen=True)
class LatentPass:
    """Both stains encoded, with noise, and decoded as the other."""

    means: list[Tensor]  # of H&E and IHC, without noise
    drawn: list[Tensor]  # with noise
    ihc: Tensor  # virtual IHC, image tensor
    he: Tensor  # virtual H&E of the real IHC


class LatentMethod(Method[LatentPass]):
    """UNIT; ``generator`` is the encoder of the H&E and the decoder of the IHC, ``generator_back`` the other two."""

    def __init__(self, config: LatentSpaceConfig, generator: AutoencoderSpec, seed: int) -> None:
        super().__init__()
        self.config = config
        generators, discriminators = ("generator", "generator_back"), ("discriminator_ihc", "discriminator_he")
        self.networks = nn.ModuleDict(
            {
                **{name: seeded(seed, name, generator.build) for name in generators},
                **{name: seeded(seed, name, config.discriminator.build) for name in discriminators},
            }
        )
        self._back.share_blocks(self.stainer(), config.latent.shared_blocks)
        decay = config.weight_decay
        self.phases = (
            Phase(name="discriminators", networks=discriminators, weight_decay=decay),
            Phase(name="generators", networks=generators, weight_decay=decay),
        )

    def stainer(self) -> AutoencoderGenerator:
        """The encoder of the H&E and the decoder of the IHC."""
        return cast(AutoencoderGenerator, self.networks["generator"])

    @property
    def _back(self) -> AutoencoderGenerator:
        return cast(AutoencoderGenerator, self.networks["generator_back"])

    def forward_pass(self, batch: Batch) -> LatentPass:
        """Both translations."""
        means = [self.stainer().encode(batch.source), self._back.encode(batch.target)]
        drawn = [_drawn(mean, batch, f"latent/{stain}") for mean, stain in zip(means, ("he", "ihc"), strict=True)]
        return LatentPass(means, drawn, self.stainer().decode(drawn[0]), self._back.decode(drawn[1]))

    def loss(self, phase: Phase, batch: Batch, shared: LatentPass, progress: Progress) -> Step:
        """The weighted sum of the generators' terms, or the adversarial losses of the discriminators."""
        if phase.name == "discriminators":
            terms = {
                "D_ihc": self._discrimination("discriminator_ihc", shared.ihc, batch.target),
                "D_he": self._discrimination("discriminator_he", shared.he, batch.source),
            }
            return Step(torch.stack(list(terms.values())).sum() * self.config.gan.weight, detached(terms))
        weighted = self._weighted(batch, shared)
        loss = torch.stack([weight * value for weight, value in weighted.values()]).sum()
        return Step(loss, detached({name: value for name, (_, value) in weighted.items()}))

    def _weighted(self, batch: Batch, shared: LatentPass) -> dict[str, tuple[float, Tensor]]:
        there, back, weights = self.stainer(), self._back, self.config.latent
        he_drawn, ihc_drawn = shared.drawn
        again_he, again_ihc = back.encode(shared.ihc), there.encode(shared.he)
        he_again = back.decode(_drawn(again_he, batch, "latent/he_again"))
        ihc_again = there.decode(_drawn(again_ihc, batch, "latent/ihc_again"))
        return {
            "gan_ihc": (self.config.gan.weight, self._fooling("discriminator_ihc", shared.ihc)),
            "gan_he": (self.config.gan.weight, self._fooling("discriminator_he", shared.he)),
            "reconstruction_he": (weights.reconstruction, l1_loss(back.decode(he_drawn), batch.source)),
            "reconstruction_ihc": (weights.reconstruction, l1_loss(there.decode(ihc_drawn), batch.target)),
            "cycle_he": (weights.cycle, l1_loss(he_again, batch.source)),
            "cycle_ihc": (weights.cycle, l1_loss(ihc_again, batch.target)),
            "prior": (weights.prior, _prior(shared.means)),
            "prior_cycle": (weights.prior_cycle, _prior([again_he, again_ihc])),
        }

    def _discrimination(self, name: str, fake: Tensor, real: Tensor) -> Tensor:
        """Summed over scales, not halved."""
        scores = zip(self.networks[name](fake.detach()), self.networks[name](real), strict=True)
        return 2 * torch.stack([sum(discriminator_terms(*pair, self.config.gan.mode)) for pair in scores]).sum()  # type: ignore[misc]

    def _fooling(self, name: str, fake: Tensor) -> Tensor:
        return torch.stack([generator_term(score, self.config.gan.mode) for score in self.networks[name](fake)]).sum()


def _drawn(mean: Tensor, batch: Batch, purpose: str) -> Tensor:
    """A draw from a Gaussian of variance 1 about the means."""
    noise = [torch.randn(mean.shape[1:], generator=g, device=g.device) for g in batch.streams(purpose)]
    return mean + torch.stack(noise).to(mean.dtype)


def _prior(means: Sequence[Tensor]) -> Tensor:
    """Distance of the latent means from 0, up to a factor the divergence from the unit Gaussian; both stains' sum."""
    return torch.stack([full_precision(mean).square().mean() for mean in means]).sum()
