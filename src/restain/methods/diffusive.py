"""SynDiff (Ozbey et al. 2023): adversarial diffusion in a few large steps, on unpaired images.

Two translators with cycle consistency turn each real IHC into an H&E that would belong to it. The diffusive generator
learns to find the real IHC again, from a noisy form of it and that H&E. Its discriminator sees x_t beside x_{t+1}, and
tells a denoised x_t from a true one. The stainer is the sampler, which is given real H&E.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term, r1_penalty
from restain.losses.reconstruction import l1_loss
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.diffusive_config import DiffusiveConfig
from restain.networks.denoising import DenoisingGenerator, posterior
from restain.networks.specs import DenoiserSpec
from restain.types import Batch


@dataclass(frozen=True)
class DiffusivePass:
    """The translations and one denoised step of each image."""

    ihc: Tensor  # of the H&E, by the translator
    he: Tensor  # of the real IHC
    he_again: Tensor  # back from ``ihc``
    ihc_again: Tensor
    step: Tensor  # t + 1, (N,): the step that is undone
    noisier: Tensor  # x_{t+1} of the real IHC
    noisy: Tensor  # x_t of the real IHC
    clean: Tensor  # the predicted x_0
    denoised: Tensor  # x_t as it follows from that


class DiffusiveMethod(Method[DiffusivePass]):
    """SynDiff, in the direction that stains; the discriminators are stepped first."""

    def __init__(self, config: DiffusiveConfig, generator: DenoiserSpec, seed: int) -> None:
        super().__init__()
        self.config = config
        discriminators = ("discriminator", "discriminator_ihc", "discriminator_he")
        self.networks = nn.ModuleDict(
            {
                "generator": seeded(seed, "generator", generator.build),
                "translator": seeded(seed, "translator", config.translator.build),
                "translator_back": seeded(seed, "translator_back", config.translator.build),
                "discriminator": seeded(
                    seed, "discriminator", lambda: config.discriminator.build(channels=6, timed=True)
                ),
                **{name: seeded(seed, name, config.discriminator.build) for name in discriminators[1:]},
            }
        )
        self.phases = (
            Phase(name="discriminators", networks=discriminators, lr_factor=config.discriminator_lr),
            Phase(name="generators", networks=("generator", "translator", "translator_back")),
        )
        self._shares = generator.signal_shares()

    def stainer(self) -> DenoisingGenerator:
        """The sampler."""
        return cast(DenoisingGenerator, self.networks["generator"])

    def forward_pass(self, batch: Batch) -> DiffusivePass:
        """Both translations with their cycles, and one step of each real IHC that is noised and denoised."""
        there, back = self.networks["translator"], self.networks["translator_back"]
        ihc, he = there(batch.source), back(batch.target)
        step, noisy, noisier, drawn, latent = self._noised(batch)
        clean = self.stainer().denoise(noisier, he, step, latent)
        factors = [posterior(self._shares[t - 1], self._shares[t]) for t in step.tolist()]
        of_clean, of_noisy, spread = torch.tensor(factors).to(noisier).T[..., None, None, None]
        denoised = of_clean * clean + of_noisy * noisier + spread * drawn
        return DiffusivePass(ihc, he, back(ihc), there(he), step, noisier, noisy, clean, denoised)

    def _noised(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Step t + 1, x_t, x_{t+1}, the noise of the posterior, and the latent vector of each image."""
        real, spec = batch.target, self.stainer().spec
        steps, rows = [], []
        for image, stream in zip(real, batch.streams("denoising"), strict=True):
            step = int(torch.randint(1, spec.steps + 1, (), generator=stream, device=stream.device))
            before, after = self._shares[step - 1], self._shares[step]
            first, second, drawn = torch.randn(3, *image.shape, generator=stream, device=stream.device).to(real.dtype)
            noisy = before**0.5 * image + (1 - before) ** 0.5 * first
            noisier = (after / before) ** 0.5 * noisy + (1 - after / before) ** 0.5 * second
            latent = torch.randn(spec.latent, generator=stream, device=stream.device).to(real.dtype)
            steps.append(step)
            rows.append((noisy, noisier, drawn, latent))
        noisy, noisier, drawn, latent = (torch.stack(column) for column in zip(*rows, strict=True))
        return torch.tensor(steps, device=real.device), noisy, noisier, drawn, latent

    def loss(self, phase: Phase, batch: Batch, shared: DiffusivePass, progress: Progress) -> Step:
        """The weighted sum of the generators' terms, or the adversarial losses of the discriminators."""
        if phase.name == "discriminators":
            return self._of_discriminators(batch, shared, progress)
        weights = self.config.denoising
        weighted = {
            "gan": (self.config.gan.weight, self._fooling("discriminator", shared.denoised, shared)),
            "gan_ihc": (self.config.gan.weight, self._fooling("discriminator_ihc", shared.ihc)),
            "gan_he": (self.config.gan.weight, self._fooling("discriminator_he", shared.he)),
            "reconstruction": (weights.reconstruction, l1_loss(shared.clean, batch.target)),
            "cycle_he": (weights.cycle, l1_loss(shared.he_again, batch.source)),
            "cycle_ihc": (weights.cycle, l1_loss(shared.ihc_again, batch.target)),
        }
        loss = torch.stack([weight * value for weight, value in weighted.values()]).sum()
        return Step(loss, detached({name: value for name, (_, value) in weighted.items()}))

    def _of_discriminators(self, batch: Batch, shared: DiffusivePass, progress: Progress) -> Step:
        penalised = progress.step % self.config.denoising.penalty_every == 0 and self.config.denoising.penalty > 0
        noisy = shared.noisy.detach().requires_grad_(penalised)
        real = self._score("discriminator", noisy, shared)
        terms = {"D": self._both(self._score("discriminator", shared.denoised.detach(), shared), real)}
        for stain, fake, true in (("ihc", shared.ihc, batch.target), ("he", shared.he, batch.source)):
            name = f"discriminator_{stain}"
            terms[f"D_{stain}"] = self._both(self._score(name, fake.detach()), self._score(name, true))
        loss = torch.stack(list(terms.values())).sum()
        if penalised:
            terms["penalty"] = r1_penalty(real, noisy)
            loss = loss + self.config.denoising.penalty / 2 * terms["penalty"]
        return Step(loss, detached(terms))

    def _fooling(self, name: str, fake: Tensor, step: DiffusivePass | None = None) -> Tensor:
        return generator_term(self._score(name, fake, step), self.config.gan.mode)

    def _score(self, name: str, image: Tensor, step: DiffusivePass | None = None) -> Tensor:
        """Of an image, or of x_t beside x_{t+1} at its step."""
        if step is None:
            return cast(Tensor, self.networks[name](image))
        return cast(Tensor, self.networks[name](torch.cat([image, step.noisier], dim=1), step.step))

    def _both(self, fake: Tensor, real: Tensor) -> Tensor:
        """Not halved, as in the released code."""
        return 2 * torch.stack(discriminator_terms(fake, real, self.config.gan.mode)).sum()
