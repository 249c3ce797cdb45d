"""The contrastive family: CUT, FastCUT, CUT + pyramid, ASP and ASP-DGRank are one method.

They differ by which terms of Eq. 8 are on, where patches are drawn, how pairs of patches are weighted, and whether
the discriminator sees diffused images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from restain.diffusion import AdaptiveHorizon, HorizonRule, NoiseSchedule, diffuse, draw_times
from restain.errors import RestainError
from restain.losses.adversarial import discriminator_terms, generator_term
from restain.losses.contrastive import adaptive_weights, info_nce, trust
from restain.losses.pyramid import SMALLEST_IMAGE, pyramid_loss
from restain.methods.base import Method, Step, Translation, frozen
from restain.networks.patchgan import PatchDiscriminator
from restain.networks.projector import PatchProjector
from restain.networks.resnet import ResnetGenerator
from restain.networks.specs import PatchganSpec, ResnetSpec
from restain.recipes.recipe import Recipe
from restain.sampling import attention_map, draw_locations, tissue_prior
from restain.types import Batch, RandomStreams

MIRROR, DISCRIMINATOR, GENERATOR = range(3)  # purposes of the random streams of a step


class ContrastiveMethod(Method):
    """Contrastive learning of a stain, built from a recipe.

    Raises:
        RestainError: fields of the recipe that do not go together, named.
    """

    generator_side = ("generator", "projector")

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        _check(recipe)
        self.recipe = recipe
        self.taps = recipe.patches.layers
        g, d, conditioned = recipe.generator, recipe.discriminator, recipe.diffusion.enabled
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            generator = ResnetGenerator(ResnetSpec(ngf=g.ngf, blocks=g.blocks, spectral_norm=g.spectral_norm))
            projector = PatchProjector(_channels(generator, self.taps), recipe.patches.dim)
            discriminator = PatchDiscriminator(
                PatchganSpec(ndf=d.ndf, layers=d.layers, spectral_norm=d.spectral_norm), timed=conditioned
            )
        self.networks = nn.ModuleDict({"generator": generator, "projector": projector, "discriminator": discriminator})
        self.horizon: AdaptiveHorizon | None = None
        if conditioned:
            c = recipe.diffusion
            self.schedule = NoiseSchedule(c.beta_start, c.beta_end, c.t_max)
            self.horizon = AdaptiveHorizon(HorizonRule(c.t_min, c.t_max, c.target, c.interval, c.ramp_kimg))

    @property
    def generator(self) -> ResnetGenerator:
        """G, whose encoder is also f."""
        return cast(ResnetGenerator, self.networks["generator"])

    def translate(self, batch: Batch) -> Translation:
        """G(I) with the features of I from the same pass; with an identity term also G(K^R)."""
        source = batch.source
        if self.recipe.patch_nce.flip_equivariance:
            source = _mirror(source, self._mirrored(batch))
        if not self.recipe.patch_nce.identity:
            return Translation(*self.generator.translate(source, self.taps))
        both, features = self.generator.translate(torch.cat([source, batch.target]), self.taps)
        n = len(source)
        return Translation(both[:n], [f[:n] for f in features], both[n:], [f[n:] for f in features])

    def discriminator_step(self, batch: Batch, translation: Translation, progress: float) -> Step:
        """Eq. 6, on diffused images where the diffusion module is on."""
        streams = batch.streams(DISCRIMINATOR)
        images = torch.cat([translation.fake.detach(), batch.target])
        fake, real = self._score(images, [*streams, *streams]).chunk(2)
        loss_fake, loss_real = discriminator_terms(fake, real)
        terms = {"D_fake": loss_fake, "D_real": loss_real}
        if self.horizon is not None:
            # The target midway between the labels 0 and 1 takes the place of 0 in Diffusion-GAN's sign test.
            terms["D_sign"] = (real.float() - 0.5).sign().mean()
            terms["horizon"] = self.horizon.horizon().float()
        return Step(loss_fake + loss_real, _detached(terms))

    def generator_step(self, batch: Batch, translation: Translation, progress: float) -> Step:
        """Eq. 8: the weighted sum of the terms that are on."""
        recipe, streams = self.recipe, batch.streams(GENERATOR)
        terms: dict[str, tuple[float, Tensor]] = {}
        with frozen(self.networks["discriminator"]):
            score = self._score(translation.fake, streams)
        terms["gan"] = recipe.gan.weight, generator_term(score)
        queries: list[Tensor] = []
        if recipe.patch_nce.weight or recipe.a2sp.weight:
            queries = self._encode_fake(batch, translation)
        if recipe.patch_nce.weight:
            terms["patch_nce"] = (
                recipe.patch_nce.weight,
                self._patch_nce(batch, translation, queries, streams),
            )
        if recipe.a2sp.weight:
            fake = [feature[: len(batch.source)] for feature in queries]
            terms["a2sp"] = recipe.a2sp.weight, self._a2sp(batch.target, fake, progress, streams)
        if recipe.pyramid.weight:
            fake_image = translation.fake
            if recipe.patch_nce.flip_equivariance:
                fake_image = _mirror(fake_image, self._mirrored(batch))
            terms["pyramid"] = (
                recipe.pyramid.weight,
                pyramid_loss(fake_image, batch.target, recipe.pyramid.form),
            )
        loss = torch.stack([weight * value for weight, value in terms.values()]).sum()  # Eq. 8
        return Step(loss, _detached({name: value for name, (_, value) in terms.items()}))

    def observe(self, terms: Mapping[str, Tensor], images: int) -> None:
        """Move the diffusion horizon."""
        if self.horizon is not None:
            self.horizon.observe(terms["D_sign"], images)

    @torch.no_grad()
    def attention_maps(self, target: Tensor) -> dict[int, Tensor]:
        """A_l of Eq. 1 for each contrastive layer l: (N, H_l, W_l), each image's map summing to 1."""
        features = self.generator.encode(target, self.taps)
        return dict(zip(self.taps, (self._attention(f, target) for f in features), strict=True))

    def _score(self, images: Tensor, streams: RandomStreams) -> Tensor:
        """D(x) of the images, or D(x_t, t) at drawn diffusion times."""
        discriminator = cast(PatchDiscriminator, self.networks["discriminator"])
        if self.horizon is None:
            return cast(Tensor, discriminator(images))
        horizon = self.horizon.horizon()
        t = draw_times(horizon, self.recipe.diffusion.clean_fraction, streams)
        noised = diffuse(images, self.schedule.alpha_bar(horizon)[t], self.recipe.diffusion.sigma, streams)
        return cast(Tensor, discriminator(noised, t))

    def _encode_fake(self, batch: Batch, translation: Translation) -> list[Tensor]:
        """Features of K^F, after those of G(K^R) where there are any: one encoder pass for every query."""
        images = translation.fake
        if translation.identity is not None:
            images = torch.cat([images, translation.identity])
        features = self.generator.encode(images, self.taps)
        if self.recipe.patch_nce.flip_equivariance:
            mirrored = self._mirrored(batch)
            features = [_mirror(feature, mirrored) for feature in features]
        return features

    def _patch_nce(
        self, batch: Batch, translation: Translation, queries: list[Tensor], streams: RandomStreams
    ) -> Tensor:
        """PatchNCE between I and K^F (and between K^R and G(K^R)), uniform locations."""
        keys = translation.features
        if self.recipe.patch_nce.flip_equivariance:
            # The pass that made K^F saw mirrored images, and its features are not those of I.
            with torch.no_grad():
                keys = self.generator.encode(batch.source, self.taps)
        if translation.identity_features is not None:
            keys = [torch.cat(pair) for pair in zip(keys, translation.identity_features, strict=True)]
            streams = [*streams, *streams]
        locations = [self._uniform(feature, streams) for feature in keys]
        u, v = self._embed(keys, queries, locations)
        losses = [info_nce(q, k, self.recipe.patches.tau).mean() for q, k in zip(v, u, strict=True)]
        return torch.stack(losses).mean()

    def _a2sp(self, target: Tensor, queries: list[Tensor], progress: float, streams: RandomStreams) -> Tensor:
        """A2SP between K^R and K^F (Eq. 2-3): the same locations for both, theta by similarity and progress."""
        config = self.recipe.a2sp
        with torch.no_grad():
            keys = self.generator.encode(target, self.taps)
            if config.locations == "attention":
                maps = [self._attention(feature, target) for feature in keys]
                locations = [draw_locations(a, self.recipe.patches.count, streams) for a in maps]
            else:
                locations = [self._uniform(feature, streams) for feature in keys]
        p = trust(config.schedule, progress, self.recipe.decay_start)
        losses = []
        for u, v in zip(*self._embed(keys, queries, locations), strict=True):
            theta = adaptive_weights((u * v).sum(dim=-1), p, config.lookup)
            losses.append((theta * info_nce(v, u, self.recipe.patches.tau)).mean())  # Eq. 2
        return torch.stack(losses).mean()  # Eq. 3

    def _embed(
        self, keys: Sequence[Tensor], queries: Sequence[Tensor], locations: Sequence[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """F at the same locations of both: keys without a gradient, queries with one."""
        projector = self.networks["projector"]
        with torch.no_grad():
            u: list[Tensor] = projector(keys, locations)
        v: list[Tensor] = projector(queries, locations)
        return u, v

    def _attention(self, feature: Tensor, target: Tensor) -> Tensor:
        attention = attention_map(feature)
        if self.recipe.a2sp.tissue_prior:
            attention = attention * tissue_prior(target, (feature.shape[2], feature.shape[3]))
            attention = attention / attention.sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)
        return attention

    def _uniform(self, feature: Tensor, streams: RandomStreams) -> Tensor:
        flat = feature.new_ones(feature.shape[0], *feature.shape[2:], dtype=torch.float32)
        return draw_locations(flat, self.recipe.patches.count, streams)

    def _mirrored(self, batch: Batch) -> Tensor:
        """Which images of the batch are translated mirrored: (N,) bool, the same at every call in a step."""
        streams = batch.streams(MIRROR)
        return torch.cat([torch.rand(1, generator=g, device=g.device) for g in streams]) < 0.5


def _channels(generator: ResnetGenerator, taps: Sequence[int]) -> list[int]:
    try:
        return [generator.spec.contrastive_channels(tap) for tap in taps]
    except ValueError as error:
        raise RestainError(f"recipe field patches.layers: {error}") from None


def _mirror(images: Tensor, which: Tensor) -> Tensor:
    return torch.where(which[:, None, None, None], images.flip(3), images)


def _detached(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in terms.items()}


def _check(recipe: Recipe) -> None:
    crop = recipe.data.crop
    layers = recipe.discriminator.layers
    least = {f"discriminator.layers {layers}": PatchganSpec(layers=layers).smallest_image}
    if recipe.pyramid.weight:
        least[f"pyramid.form {recipe.pyramid.form}"] = SMALLEST_IMAGE[recipe.pyramid.form]
    if crop % 4:
        raise RestainError(
            f"recipe field data.crop is {crop}; expected a multiple of 4, which the generator halves twice"
        )
    for field, side in least.items():
        if crop < side:
            raise RestainError(f"recipe field data.crop is {crop}; {field} needs at least {side} pixels")
    if recipe.patch_nce.identity and recipe.patch_nce.flip_equivariance:
        raise RestainError(
            "recipe fields patch_nce.identity and patch_nce.flip_equivariance are both true; "
            "expected at most one of them"
        )
