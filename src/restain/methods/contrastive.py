"""The contrastive family: CUT, FastCUT, CUT + pyramid, ASP and ASP-DGRank are one method.

They differ by which terms of Eq. 8 are on, where patches are drawn, how pairs of patches are weighted, and whether
the discriminator sees diffused images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from restain.losses.dab_amount import amount_losses, dab_optical_density
from restain.losses.pyramid import pyramid_loss
from restain.losses.reconstruction import low_resolution_l1
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.contrastive_config import ContrastiveConfig
from restain.networks.batch_norms import averages_kept, batch_norms
from restain.networks.projector import PatchProjector
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import ResnetSpec
from restain.terms.a2sp import A2sp
from restain.terms.adversarial import Adversarial
from restain.terms.patch_nce import PatchNce
from restain.terms.patches import PatchEmbedder
from restain.terms.st_lpips import StLpips
from restain.types import Batch

DISCRIMINATOR = Phase(name="discriminator", networks=("discriminator",))


@dataclass(frozen=True)
class ContrastivePass:
    """One pass of the generator over a batch."""

    fake: Tensor  # virtual IHC, image tensor
    features: list[Tensor]  # the source's features at the contrastive layers, from the same pass
    mirrored: Tensor | None = None  # (N,) bool: which images were translated mirrored; FastCUT
    identity: Tensor | None = None  # the real IHC translated; CUT
    identity_features: list[Tensor] | None = None


class ContrastiveMethod(Method[ContrastivePass]):
    """Contrastive learning of a stain."""

    def __init__(self, config: ContrastiveConfig, generator: ResnetSpec, seed: int) -> None:
        super().__init__()
        self.config, self.taps = config, config.patches.layers
        self.embeds = bool(config.patch_nce.weight or config.a2sp.weight)
        timed, seen = config.diffusion.enabled, 6 if config.gan.conditional else 3
        networks: dict[str, nn.Module] = {
            "generator": seeded(seed, "generator", generator.build),
            "discriminator": seeded(seed, "discriminator", lambda: config.discriminator.build(seen, timed=timed)),
        }
        if self.embeds:
            widths = [generator.contrastive_channels(tap) for tap in self.taps]
            patches = config.patches
            projector = seeded(seed, "projector", lambda: PatchProjector(widths, patches.dim, patches.gain))
            embedder = PatchEmbedder(patches, projector)
            self._patch_nce, self._a2sp = PatchNce(embedder), A2sp(config.a2sp, embedder)
            networks["projector"] = projector
        self.networks = nn.ModuleDict(networks)
        self.phases = (
            DISCRIMINATOR,
            Phase(name="generator", networks=tuple(name for name in networks if name != "discriminator")),
        )
        self._st_lpips = StLpips(config.st_lpips) if config.st_lpips.weight else None
        self.adversarial = Adversarial(config.gan, config.diffusion, config.r1, self.networks["discriminator"])

    @property
    def generator(self) -> ResnetGenerator:
        """G, whose encoder is also f."""
        return cast(ResnetGenerator, self.networks["generator"])

    def stainer(self) -> ResnetGenerator:
        """G."""
        return self.generator

    def forward_pass(self, batch: Batch) -> ContrastivePass:
        """G(I) with the features of I from the same pass; with an identity term also G(K^R)."""
        source, mirrored = batch.source, None
        if self.config.patch_nce.flip_equivariance:
            draws = [torch.rand(1, generator=g, device=g.device) for g in batch.streams("mirror")]
            mirrored = torch.cat(draws) < 0.5
            source = _mirror(source, mirrored)
        if not self.config.patch_nce.identity:
            return ContrastivePass(*self.generator.translate(source, self.taps), mirrored)
        if batch_norms(self.generator):  # H&E and IHC must not be normalised together
            fake, features = self.generator.translate(source, self.taps)
            with averages_kept(self.generator):
                return ContrastivePass(fake, features, None, *self.generator.translate(batch.target, self.taps))
        both, features = self.generator.translate(torch.cat([source, batch.target]), self.taps)
        n = len(source)
        return ContrastivePass(both[:n], [f[:n] for f in features], None, both[n:], [f[n:] for f in features])

    def loss(self, phase: Phase, batch: Batch, shared: ContrastivePass, progress: Progress) -> Step:
        """Eq. 6 for the discriminator, Eq. 8 for the generator."""
        if phase is DISCRIMINATOR:
            streams = batch.streams("discriminator/fake"), batch.streams("discriminator/real")
            loss, terms = self.adversarial.for_discriminator(
                shared.fake, batch.target, streams, progress.step, self._beside(batch)
            )
            return Step(loss, detached(terms))
        weighted = dict(self._terms(batch, shared, progress))
        loss = torch.stack([weight * value for weight, value in weighted.values()]).sum()  # Eq. 8
        return Step(loss, detached({name: value for name, (_, value) in weighted.items()}))

    def _beside(self, batch: Batch) -> Tensor | None:
        """The H&E, where the discriminator sees it beside the IHC."""
        return batch.source if self.config.gan.conditional else None

    def _terms(self, batch: Batch, shared: ContrastivePass, progress: Progress) -> Mapping[str, tuple[float, Tensor]]:
        """The terms of Eq. 8 that are on, with their weights."""
        config = self.config
        found: dict[str, tuple[float, Tensor]] = {}
        adversarial = self.adversarial.for_generator(shared.fake, batch.streams("generator"), self._beside(batch))
        found["gan"] = config.gan.weight, adversarial
        queries = self._encode_fake(shared) if self.embeds else []
        if config.patch_nce.weight:
            found["patch_nce"] = config.patch_nce.weight, self._content(batch, shared, queries)
        if config.a2sp.weight:
            with torch.no_grad(), averages_kept(self.generator):
                keys = self.generator.encode(batch.target, self.taps)
            supervised = self._a2sp(
                [feature[: len(batch.source)] for feature in queries],
                keys,
                batch.target,
                batch.streams("a2sp"),
                progress=progress.fraction,
                decay_start=progress.decay_start,
                weights=batch.weights,
            )
            found["a2sp"] = config.a2sp.weight, supervised
        return {**found, **self._comparisons(batch, shared)}

    def _comparisons(self, batch: Batch, shared: ContrastivePass) -> Mapping[str, tuple[float, Tensor]]:
        """The terms that compare the pixels of the virtual and the real IHC, in which a pair counts by its weight."""
        config = self.config
        found: dict[str, tuple[float, Tensor]] = {}
        fake = shared.fake if shared.mirrored is None else _mirror(shared.fake, shared.mirrored)
        real, weights = batch.target, batch.weights
        if config.pyramid.weight:
            found["pyramid"] = config.pyramid.weight, pyramid_loss(fake, real, config.pyramid.form, weights)
        if config.low_resolution.weight:
            difference = low_resolution_l1(fake, real, config.low_resolution.factor, weights)
            found["low_resolution"] = config.low_resolution.weight, difference
        if (amount := config.amount).weight:
            parts = amount_losses(dab_optical_density(fake), dab_optical_density(real), weights)
            found["amount_mean"] = amount.weight * amount.mean, parts.mean
            found["amount_distribution"] = amount.weight * amount.distribution, parts.distribution
            found["amount_blocks"] = amount.weight * amount.blocks, parts.blocks
        if self._st_lpips is not None:
            found["st_lpips"] = config.st_lpips.weight, self._st_lpips(fake, real, weights)
        return found

    def _encode_fake(self, shared: ContrastivePass) -> list[Tensor]:
        """Features of K^F, after those of G(K^R) where there are any: one encoder pass for every query."""
        images = shared.fake if shared.identity is None else torch.cat([shared.fake, shared.identity])
        with averages_kept(self.generator):
            features = self.generator.encode(images, self.taps)
        return features if shared.mirrored is None else [_mirror(feature, shared.mirrored) for feature in features]

    def _content(self, batch: Batch, shared: ContrastivePass, queries: list[Tensor]) -> Tensor:
        """PatchNCE between I and K^F, and between K^R and G(K^R) with an identity term."""
        keys, streams = shared.features, batch.streams("patch_nce")
        if shared.mirrored is not None:
            # The pass that made K^F saw mirrored images, and its features are not those of I.
            with torch.no_grad():
                keys = self.generator.encode(batch.source, self.taps)
        if shared.identity_features is not None:
            keys = [torch.cat(pair) for pair in zip(keys, shared.identity_features, strict=True)]
            streams = [*streams, *batch.streams("patch_nce/identity")]
        return self._patch_nce(queries, keys, streams)

    def after_step(
        self, terms: Mapping[str, Tensor], carried: Mapping[str, Tensor], images: int, progress: Progress
    ) -> None:
        """Move the diffusion horizon."""
        self.adversarial.after_step(terms, images, progress.total)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> Mapping[str, Tensor]:
        """A_l of Eq. 1 at each contrastive layer l, where patches are drawn by attention."""
        if not self.config.a2sp.weight or self.config.a2sp.locations != "attention":
            return {}
        maps = self._a2sp.attention(self.generator.encode(batch.target, self.taps), batch.target)
        return {f"layer{tap:02d}": map_ for tap, map_ in zip(self.taps, maps, strict=True)}


def _mirror(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(3), images)
