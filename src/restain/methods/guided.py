"""TDKStain (Peng et al. 2024): a conditional GAN guided by where DAB is and how dense nuclei are.

The H&E under the DAB of the real IHC, translated alone, must give that DAB; and the virtual IHC, looked at by the
generator's own encoder, must let an estimator find nuclei where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.reconstruction import l1_loss
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.guided_config import GuidedConfig
from restain.networks.density import DensityEstimator
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import ResnetSpec
from restain.tensors import full_precision
from restain.types import Batch

DISCRIMINATOR = Phase(name="discriminator", networks=("discriminator",))
ESTIMATOR = Phase(name="estimator", networks=("estimator",))
GENERATOR = Phase(name="generator", networks=("generator",))


class GuidedMethod(Method[Tensor]):
    """TDKStain; what the phases share is the virtual IHC."""

    phases = (DISCRIMINATOR, ESTIMATOR, GENERATOR)

    def __init__(self, config: GuidedConfig, generator: ResnetSpec, seed: int) -> None:
        super().__init__()
        self.config = config
        widths = [generator.contrastive_channels(layer) for layer in generator.halved]
        self.networks = nn.ModuleDict(
            {
                "generator": seeded(seed, "generator", generator.build),
                "discriminator": seeded(seed, "discriminator", lambda: config.discriminator.build_all(channels=6)),
                "estimator": seeded(seed, "estimator", lambda: DensityEstimator(config.estimator, widths)),
            }
        )

    def stainer(self) -> ResnetGenerator:
        """G."""
        return cast(ResnetGenerator, self.networks["generator"])

    def forward_pass(self, batch: Batch) -> Tensor:
        """G(I)."""
        return cast(Tensor, self.networks["generator"](batch.source))

    def loss(self, phase: Phase, batch: Batch, shared: Tensor, progress: Progress) -> Step:
        """The adversarial loss of D, the error of the estimator on the real IHC, or the weighted sum of G's terms."""
        if phase is DISCRIMINATOR:
            maps = zip(self._scores(batch, shared.detach()), self._scores(batch, batch.target), strict=True)
            halves = [discriminator_terms(fake, real, self.config.gan.mode) for fake, real in maps]
            fakes, reals = (torch.stack(half).sum() for half in zip(*halves, strict=True))
            return Step(fakes + reals, detached({"D_fake": fakes, "D_real": reals}))
        if phase is ESTIMATOR:
            with torch.no_grad():
                features = self.stainer().encode(batch.target, self.stainer().spec.halved)
            error = self._density_error(batch, features)
            return Step(self.config.density.weight * error, detached({"density_real": error}))
        weighted = list(self._terms(batch, shared))
        loss = torch.stack([weight * value for _, weight, value in weighted]).sum()
        return Step(loss, detached({name: value for name, _, value in weighted}))

    def _terms(self, batch: Batch, fake: Tensor) -> Iterator[tuple[str, float, Tensor]]:
        config, mode = self.config, self.config.gan.mode
        scores = self._scores(batch, fake)
        yield "gan", config.gan.weight, torch.stack([generator_term(score, mode) for score in scores]).sum()
        yield "l1", config.l1.weight, l1_loss(fake, batch.target, batch.weights)
        dab = batch.maps["dab"]
        stained = self.networks["generator"](batch.source * dab)
        yield "mask", config.mask.weight, l1_loss(stained, batch.target * dab, batch.weights)
        features = self.stainer().encode(fake, self.stainer().spec.halved)
        yield "density", config.density.weight, self._density_error(batch, features)

    def _scores(self, batch: Batch, ihc: Tensor) -> list[Tensor]:
        return cast(list[Tensor], self.networks["discriminator"](torch.cat([batch.source, ihc], dim=1)))

    def _density_error(self, batch: Batch, features: list[Tensor]) -> Tensor:
        """Mean squared error of the estimated density of nuclei."""
        true = batch.maps["nuclei"]
        estimate = self.networks["estimator"](features, (true.shape[2], true.shape[3]))
        return (full_precision(estimate) - true).square().mean()

    @torch.no_grad()
    def pictures(self, batch: Batch) -> Mapping[str, Tensor]:
        """The density of nuclei that the estimator finds in the virtual IHC."""
        fake = self.forward_pass(batch)
        features = self.stainer().encode(self.stainer().padded(fake), self.stainer().spec.halved)
        size = (fake.shape[2], fake.shape[3])
        return {"nuclei": self.networks["estimator"](features, size)[:, 0].clamp_min(0)}
