"""ODA-GAN (Wang et al. 2025), as far as its public description goes: features taken apart by what tells the label.

Orthogonal heads embed patches; a mask over the channels of the embedding divides it into what tells tumour from normal
and what does not. What does not must be that of the H&E (PatchNCE). What does must be like that of real IHC of the same
label, and unlike that of the other. All features must be distributed as those of real IHC of the same label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.contrastive import info_nce
from restain.losses.domain_alignment import class_nce, weighted_mmd
from restain.methods.base import Method, Phase, Progress, Step, detached, seeded
from restain.methods.decoupled_config import LABELS, DecoupledConfig
from restain.networks.decoupler import Decoupler, OrthogonalProjector
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import ResnetSpec
from restain.sampling import draw_locations
from restain.terms.feature_queue import FeatureQueue
from restain.types import Batch


@dataclass(frozen=True)
class DecoupledPass:
    """One pass of the generator over the H&E, and over the real IHC."""

    fake: Tensor  # virtual IHC, image tensor
    features: list[Tensor]  # of the H&E at the contrastive layers
    same: Tensor  # the real IHC, translated
    real_features: list[Tensor]  # of the real IHC


class DecoupledMethod(Method[DecoupledPass]):
    """ODA-GAN: the discriminator, then what takes features apart, then the generator with the heads."""

    def __init__(self, config: DecoupledConfig, generator: ResnetSpec, seed: int) -> None:
        super().__init__()
        self.config = config
        layers, dim = config.patches.layers, config.patches.dim
        widths = [generator.contrastive_channels(tap) for tap in layers]
        self.networks = nn.ModuleDict(
            {
                "generator": seeded(seed, "generator", generator.build),
                "projector": seeded(seed, "projector", lambda: OrthogonalProjector(widths, dim)),
                "decoupler": seeded(seed, "decoupler", lambda: Decoupler(len(layers), dim, len(LABELS))),
                "discriminator": seeded(seed, "discriminator", config.discriminator.build),
            }
        )
        self.phases = (
            Phase(name="discriminator", networks=("discriminator",)),
            Phase(name="decoupling", networks=("decoupler",)),
            Phase(name="generator", networks=("generator", "projector")),
        )
        size = config.alignment.queue
        self.queues = nn.ModuleList(FeatureQueue(len(LABELS), size, dim) for _ in layers)
        self.related_queues = nn.ModuleList(FeatureQueue(len(LABELS), size, dim) for _ in layers)

    def stainer(self) -> ResnetGenerator:
        """G."""
        return cast(ResnetGenerator, self.networks["generator"])

    @property
    def _projector(self) -> OrthogonalProjector:
        return cast(OrthogonalProjector, self.networks["projector"])

    @property
    def _decoupler(self) -> Decoupler:
        return cast(Decoupler, self.networks["decoupler"])

    def forward_pass(self, batch: Batch) -> DecoupledPass:
        """G of both stains, each with the features from the same pass."""
        taps, translate = self.config.patches.layers, self.stainer().translate
        return DecoupledPass(*translate(batch.source, taps), *translate(batch.target, taps))

    def loss(self, phase: Phase, batch: Batch, shared: DecoupledPass, progress: Progress) -> Step:
        """The adversarial loss of D, the classification of what is taken apart, or the sum of G's terms."""
        if phase.name == "discriminator":
            discriminator = self.networks["discriminator"]
            fake, real = discriminator(shared.fake.detach()), discriminator(batch.target)
            loss_fake, loss_real = discriminator_terms(fake, real, self.config.gan.mode)
            return Step(loss_fake + loss_real, detached({"D_fake": loss_fake, "D_real": loss_real}))
        if phase.name == "decoupling":
            return self._of_decoupler(batch, shared)
        carried: dict[str, Tensor] = {}
        weighted = list(self._terms(batch, shared, carried))
        loss = torch.stack([weight * value for _, weight, value in weighted]).sum()
        return Step(loss, detached({name: value for name, _, value in weighted}), carried)

    def _of_decoupler(self, batch: Batch, shared: DecoupledPass) -> Step:
        """Mean over H&E and real IHC."""
        sides = ((shared.features, batch.labels), (shared.real_features, batch.target_labels))
        found = []
        for features, labels in sides:
            maps = [one.detach() for one in self._projector.maps(features)]
            found.append(self._decoupler.losses(maps, _numbers(labels, batch.source.device)))
        kept, dropped = (torch.stack(losses).mean() for losses in zip(*found, strict=True))
        return Step(kept + dropped, detached({"label_kept": kept, "label_dropped": dropped}))

    def _terms(
        self, batch: Batch, shared: DecoupledPass, carried: dict[str, Tensor]
    ) -> Iterator[tuple[str, float, Tensor]]:
        config, device = self.config, batch.source.device
        yield "gan", config.gan.weight, generator_term(self.networks["discriminator"](shared.fake), config.gan.mode)
        # The H&E's masks and places for it and for what was made of it; the real IHC's for that.
        with torch.no_grad():
            masks, real_masks = (
                self._decoupler.mask(self._projector.maps(features))
                for features in (shared.features, shared.real_features)
            )
        places, real_places = (
            self._places(features, batch, purpose)
            for features, purpose in ((shared.features, "patch_nce"), (shared.real_features, "identity"))
        )
        queries = self._projector.at(self.stainer().encode(shared.fake, config.patches.layers), places)
        with torch.no_grad():
            keys = self._projector.at(shared.features, places)
            reals = self._projector.at(shared.real_features, real_places)
        content = self._unrelated(queries, keys, masks)
        if config.patch_nce.identity:
            again = self._projector.at(self.stainer().encode(shared.same, config.patches.layers), real_places)
            content = (content + self._unrelated(again, reals, real_masks)) / 2
        yield "patch_nce", config.patch_nce.weight, content
        yield from self._by_class(queries, masks, _numbers(batch.labels, device))
        carried["labels"] = _numbers(batch.target_labels, device)
        for layer, (real, mask) in enumerate(zip(reals, real_masks, strict=True)):
            carried[f"real/{layer}"] = F.normalize(real, dim=-1)
            carried[f"related/{layer}"] = F.normalize(real * mask[:, None], dim=-1)

    def _unrelated(self, queries: Sequence[Tensor], keys: Sequence[Tensor], masks: Sequence[Tensor]) -> Tensor:
        losses = []
        for query, key, mask in zip(queries, keys, masks, strict=True):
            v, u = (F.normalize(embedded * (1 - mask[:, None]), dim=-1) for embedded in (query, key))
            losses.append(info_nce(v, u, self.config.patches.tau).mean())
        return torch.stack(losses).mean()

    def _by_class(
        self, queries: Sequence[Tensor], masks: Sequence[Tensor], labels: Tensor
    ) -> Iterator[tuple[str, float, Tensor]]:
        """The contrast of the classes and the domain alignment, means over layers and images."""
        contrasts, discrepancies = [], []
        for layer, (query, mask) in enumerate(zip(queries, masks, strict=True)):
            queue, related = (cast(FeatureQueue, each[layer]) for each in (self.queues, self.related_queues))
            weights, related_weights = queue.weights(), related.weights()
            for rows, shown, label in zip(query, mask, labels, strict=True):
                sides = label, 1 - label
                own, other = (related.features[side] for side in sides)
                present = related_weights[sides[0]], related_weights[sides[1]]
                masked = F.normalize(rows * shown, dim=-1)
                contrasts.append(class_nce(masked, own, other, present, self.config.patches.tau))
                features = F.normalize(rows, dim=-1), queue.features[label]
                discrepancies.append(weighted_mmd(*features, weights[label], self.config.alignment.sigma))
        yield "related", self.config.related.weight, torch.stack(contrasts).mean()
        yield "alignment", self.config.alignment.weight, torch.stack(discrepancies).mean()

    def _places(self, features: Sequence[Tensor], batch: Batch, purpose: str) -> list[Tensor]:
        count, streams = self.config.patches.count, batch.streams(purpose)
        return [
            draw_locations(one.new_ones(one.shape[0], *one.shape[2:], dtype=torch.float32), count, streams)
            for one in features
        ]

    def after_step(
        self, terms: Mapping[str, Tensor], carried: Mapping[str, Tensor], images: int, progress: Progress
    ) -> None:
        """Take the features of the real IHC into the queues."""
        for name, queues in (("real", self.queues), ("related", self.related_queues)):
            for layer, queue in enumerate(queues):
                cast(FeatureQueue, queue).keep(carried[f"{name}/{layer}"], carried["labels"])


def _numbers(labels: Sequence[str], device: torch.device) -> Tensor:
    return torch.tensor([LABELS.index(label) for label in labels], device=device)
