"""The adversarial term, with or without the diffusion module in front of the discriminator (Eq. 4-7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from restain.diffusion import AdaptiveHorizon, HorizonRule, NoiseSchedule, diffuse, draw_times
from restain.losses.adversarial import MIDDLE, discriminator_terms, generator_term, r1_penalty
from restain.terms.config import DiffusionConfig, GanConfig, R1Config
from restain.types import RandomStreams


class Adversarial(nn.Module):
    """Losses of a discriminator of images, alone or beside their H&E; its horizon is part of a checkpoint.

    Args:
        gan: the objective.
        diffusion: the diffusion module's settings.
        r1: the gradient penalty of the discriminator.
        discriminator: D; called with images (the H&E's three channels before the IHC's, where it is given), and with
            diffusion times where the module is on. Its parameters belong to whoever made it.
    """

    def __init__(
        self, gan: GanConfig, diffusion: DiffusionConfig, r1: R1Config, discriminator: Callable[..., Tensor]
    ) -> None:
        super().__init__()
        self._gan, self._diffusion, self._r1 = gan, diffusion, r1
        self._score_of = (discriminator,)  # in a tuple, so that it is not registered a second time
        self.horizon: AdaptiveHorizon | None = None
        if diffusion.enabled:
            c = diffusion
            self._schedule = NoiseSchedule(c.beta_start, c.beta_end, c.t_max)
            self.horizon = AdaptiveHorizon(HorizonRule(c.t_min, c.t_max, c.target, c.interval, c.ramp_kimg, c.ramp))

    def for_discriminator(
        self,
        fake: Tensor,
        real: Tensor,
        streams: tuple[RandomStreams, RandomStreams],
        step: int,
        source: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 6 and what there is to log; times and noise of fake and real images are drawn from a stream each.

        ``step`` counts the steps that are done: R1 is due at each ``every``-th. ``source`` is the H&E of both, which is
        never diffused.
        """
        penalised = bool(self._r1.weight) and step % self._r1.every == 0
        if penalised:
            real = real.detach().requires_grad_()
        images = torch.cat([fake.detach(), real])
        sources = None if source is None else torch.cat([source, source])
        scores_fake, scores_real = self._score(images, [*streams[0], *streams[1]], sources).chunk(2)
        loss_fake, loss_real = discriminator_terms(scores_fake, scores_real, self._gan.mode)
        terms = {"D_fake": loss_fake, "D_real": loss_real}
        if self.horizon is not None:
            # The target midway between the labels 0 and 1 takes the place of 0 in Diffusion-GAN's sign test.
            terms["D_sign"] = (scores_real.float() - MIDDLE[self._gan.mode]).sign().mean()
            terms["horizon"] = self.horizon.horizon().float()
        loss = loss_fake + loss_real
        if penalised:
            terms["D_r1"] = r1_penalty(scores_real, real)
            loss = loss + self._r1.weight * self._r1.every * terms["D_r1"]
        return loss, terms

    def for_generator(self, fake: Tensor, streams: RandomStreams, source: Tensor | None = None) -> Tensor:
        """Eq. 7; ``source`` is the H&E, where D sees it."""
        return generator_term(self._score(fake, streams, source), self._gan.mode)

    def after_step(self, terms: Mapping[str, Tensor], images: int, steps: int) -> None:
        """Move the diffusion horizon.

        Args:
            terms: means over all processes.
            images: shown in the step, by all of them.
            steps: of the whole run.
        """
        if self.horizon is not None:
            self.horizon.observe(terms["D_sign"], images, steps)

    def _score(self, images: Tensor, streams: RandomStreams, source: Tensor | None) -> Tensor:
        """D(x) of the images, or D(x_t, t) at drawn diffusion times."""
        (discriminator,) = self._score_of
        times = []
        if self.horizon is not None:
            horizon = self.horizon.horizon()
            times = [draw_times(horizon, self._diffusion.clean_fraction, streams)]
            images = diffuse(images, self._schedule.alpha_bar(horizon)[times[0]], self._diffusion.sigma, streams)
        return discriminator(images if source is None else torch.cat([source, images], dim=1), *times)
