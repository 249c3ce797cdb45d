"""The terms of Eq. 8 in float64: numpy loops over every location, and gradients of the formulas with fixed keys."""

import math

import numpy as np
import pytest
import torch
from stepping import build, phase_of, take
from torch import Tensor, nn

from restain.errors import RestainError
from restain.methods.contrastive import ContrastiveMethod
from restain.recipes import Recipe, differences, load_recipe
from restain.sampling import attention_map, draw_locations
from restain.types import Batch

SMALL = (
    "generator.ngf=4",
    "generator.blocks=5",
    "generator.spectral_norm=false",
    "discriminator.ndf=4",
    "discriminator.layers=2",
    "discriminator.spectral_norm=false",
    "patches.layers=[8, 12, 16]",
    "patches.count=4000",  # every location, so nothing is drawn
    "patches.dim=8",
    "data.crop=40",
)
SIZES = {8: 20, 12: 10, 16: 10}
OFF = {"gan": "gan.weight=0", "patch_nce": "patch_nce.weight=0", "a2sp": "a2sp.weight=0", "pyramid": "pyramid.weight=0"}


def small(name: str, *overrides: str) -> Recipe:
    return load_recipe(name, (*SMALL, *overrides))


def only(term: str) -> tuple[str, ...]:
    return tuple(off for name, off in OFF.items() if name != term)


def method_of(recipe: Recipe) -> ContrastiveMethod:
    method = build(recipe).double()
    with torch.no_grad():  # away from the start, where every patch looks much the same
        for head in method.networks["projector"].parameters() if method.embeds else ():
            head.copy_(torch.randn(head.shape, generator=torch.Generator().manual_seed(head.numel())))
    return method


def batch(images: int = 2, side: int = 40) -> Batch:
    stream = torch.Generator().manual_seed(1)
    source, target = torch.rand(2, images, 3, side, side, generator=stream, dtype=torch.float64) * 2 - 1
    return Batch(source, target, tuple("ab"[:images]), tuple(range(10, 10 + images)))


def embed(method: ContrastiveMethod, images: Tensor) -> list[np.ndarray]:
    """F_l(f_l(images)) at every location, (N, H * W, dim) a layer, by matrix products in numpy."""
    out = []
    features = method.generator.encode(images, method.taps)
    for feature, head in zip(features, method.networks["projector"].heads, strict=True):
        x = feature.detach().numpy().reshape(*feature.shape[:2], -1).transpose(0, 2, 1)
        weights = [p.detach().numpy() for p in head.parameters()]
        hidden = np.maximum(x @ weights[0].T + weights[1], 0)
        z = hidden @ weights[2].T + weights[3]
        out.append(z / np.sqrt((z**2).sum(-1, keepdims=True)))
    return out


def info_nce(v: np.ndarray, u: np.ndarray, i: int) -> float:
    """-log softmax of the cosines of query i with every key, at the key of the same place."""
    logits = u @ v[i] / 0.07
    return -float(logits[i]) + float(logits.max()) + math.log(np.exp(logits - logits.max()).sum())


def mean_nce(queries: list[np.ndarray], keys: list[np.ndarray]) -> float:
    layers = []
    for v, u in zip(queries, keys, strict=True):
        losses = [info_nce(v[n], u[n], i) for n in range(len(v)) for i in range(v.shape[1])]
        layers.append(sum(losses) / len(losses))
    return sum(layers) / len(layers)


def test_patch_nce_is_the_formula() -> None:
    method, data = method_of(small("asp-dgrank", *only("patch_nce"))), batch()
    step = take(method, "generator", data, progress=0.0)
    expected = mean_nce(embed(method, method.generator(data.source)), embed(method, data.source))
    assert step.terms["patch_nce"].item() == pytest.approx(expected, rel=1e-9)
    assert step.loss.item() == pytest.approx(10 * expected, rel=1e-9)


def test_patch_nce_of_cut_adds_the_identity_and_averages() -> None:
    method, data = method_of(small("cut", "gan.weight=0")), batch()
    step = take(method, "generator", data, progress=0.0)
    content = mean_nce(embed(method, method.generator(data.source)), embed(method, data.source))
    identity = mean_nce(embed(method, method.generator(data.target)), embed(method, data.target))
    assert step.loss.item() == pytest.approx((content + identity) / 2, rel=1e-9)


def test_patch_nce_of_fastcut_compares_places_of_the_image_as_it_was() -> None:
    method, data = method_of(small("fastcut", "gan.weight=0")), batch()
    data = Batch(data.source, data.target, data.ids, (3, 4))
    mirrored = method.forward_pass(data).mirrored.tolist()
    assert sorted(mirrored) == [False, True]
    step = take(method, "generator", data, progress=0.0)
    queries, keys = [], embed(method, data.source)
    for n, flip in enumerate(mirrored):
        source = data.source[n : n + 1]
        fake = method.generator(source.flip(3) if flip else source)
        rows = []
        for tap, row in zip(method.taps, embed(method, fake), strict=True):
            map_ = row.reshape(1, SIZES[tap], SIZES[tap], -1)
            rows.append((map_[:, :, ::-1] if flip else map_).reshape(row.shape))
        queries.append(rows)
    stacked = [np.concatenate(layer) for layer in zip(*queries, strict=True)]
    assert step.loss.item() == pytest.approx(10 * mean_nce(stacked, keys), rel=1e-9)


PROGRESS = 0.95  # past 40 of 45 epochs


@pytest.mark.parametrize("lookup", ["linear", "top", "bell", "uniform"])
@pytest.mark.parametrize("schedule", ["lambda", "linear", "sigmoid", "zero"])
def test_a2sp_is_equations_2_and_3(schedule: str, lookup: str) -> None:
    recipe = small("asp-dgrank", *only("a2sp"), f"a2sp.schedule={schedule}", f"a2sp.lookup={lookup}")
    method, data = method_of(recipe), batch(1)
    step = take(method, "generator", data, progress=PROGRESS)

    p = {
        "lambda": (1 - PROGRESS) / (1 - 40 / 45),
        "linear": 1 - PROGRESS,
        "sigmoid": 1 / (1 + math.exp(10 * (PROGRESS - 0.5))),
        "zero": 1.0,
    }[schedule]
    layers = []
    queries, keys = embed(method, method.generator(data.source)), embed(method, data.target)
    for v, u in zip(queries, keys, strict=True):
        theta = []
        for query, key in zip(v[0], u[0], strict=True):
            s = float(query @ key)
            worth = {
                "linear": max(s, 0.0),
                "top": math.sqrt(max(0.0, 1 - (max(s, 0.0) - 1) ** 2)),
                "bell": math.exp(-((4 * (s - 0.5)) ** 2) / 2) / math.sqrt(2 * math.pi),
                "uniform": 1.0,
            }[lookup]
            theta.append(p + (1 - p) * worth)
        n = len(theta)
        layers.append(sum(theta[i] * n / sum(theta) * info_nce(v[0], u[0], i) for i in range(n)) / n)  # Eq. 2
    assert step.terms["a2sp"].item() == pytest.approx(sum(layers) / len(layers), rel=1e-9)  # Eq. 3


@pytest.mark.parametrize("term", ["patch_nce", "a2sp"])
def test_gradients_are_those_of_the_formula_with_keys_and_weights_held_fixed(term: str) -> None:
    method, data = method_of(small("asp-dgrank", *only(term), "patches.count=30")), batch(1)
    parameters = dict(method.named_parameters())
    take(method, "generator", data, progress=PROGRESS).loss.backward()
    found = {name: p.grad for name, p in parameters.items() if p.grad is not None}
    method.zero_grad(set_to_none=True)

    generator, projector = method.generator, method.networks["projector"]
    streams = data.streams(term)
    with torch.no_grad():
        features = generator.encode(data.source if term == "patch_nce" else data.target, method.taps)
        maps = [torch.ones_like(f[:, 0]) if term == "patch_nce" else attention_map(f) for f in features]
        where = [draw_locations(m.float(), 30, streams) for m in maps]
        keys = projector(features, where)
    queries = projector(generator.encode(generator(data.source), method.taps), where)
    layers = []
    for u, v in zip(keys, queries, strict=True):
        logits = v @ u.transpose(1, 2) / 0.07
        losses = logits.logsumexp(2) - logits.diagonal(dim1=1, dim2=2)
        if term == "a2sp":
            p = (1 - PROGRESS) / (1 - 40 / 45)
            theta = p + (1 - p) * (u * v.detach()).sum(-1).clamp_min(0)
            losses = losses * theta / theta.mean()
        layers.append(losses.mean())
    (10 * torch.stack(layers).mean()).backward()
    expected = {name: p.grad for name, p in parameters.items() if p.grad is not None}

    assert set(expected) <= set(found)
    assert any(name.startswith("networks.generator") for name in expected)
    assert all(name.startswith("networks.projector") for name in expected if "generator" not in name)
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    for name, gradient in expected.items():  # a bias in front of an instance norm has nothing but rounding
        torch.testing.assert_close(found[name], gradient, rtol=1e-8, atol=1e-12 * largest)
    for name in set(found) - set(expected):
        assert found[name].abs().max() == 0, name  # the decoder's share of terms with weight 0


def test_no_gradient_reaches_the_real_ihc_through_its_patches() -> None:
    method, data = method_of(small("asp-dgrank", *only("a2sp"))), batch(1)
    target = data.target.clone().requires_grad_()
    watched = Batch(data.source, target, data.ids, data.seeds)
    take(method, "generator", watched, progress=PROGRESS).loss.backward()
    assert target.grad is None


def test_the_adversarial_term_sees_the_noised_image_of_equation_5() -> None:
    method = method_of(small("asp-dgrank", *only("gan"), "diffusion.clean_fraction=0", "diffusion.sigma=0.5"))
    data = batch()
    translation = method.forward_pass(data)
    seen: list[tuple[Tensor, Tensor]] = []
    discriminator = method.networks["discriminator"]
    handle = discriminator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    step = take(method, "generator", data, translation, 0.0)
    handle.remove()
    noised, times = seen[0]
    eps = []
    for n, t in enumerate(times.tolist()):
        share = math.prod(1 - (1e-4 + (2e-2 - 1e-4) * (s - 1) / 9) for s in range(1, t + 1))  # T starts at 10
        rest = noised[n] - math.sqrt(share) * translation.fake[n]
        eps.append(rest.detach() / (math.sqrt(1 - share) * 0.5))
    noise = torch.stack(eps)
    assert noise.mean().item() == pytest.approx(0, abs=5 / math.sqrt(noise.numel()))
    assert noise.std().item() == pytest.approx(1, abs=5 / math.sqrt(2 * noise.numel()))
    assert not torch.equal(noise[0], noise[1])
    expected = sum((score - 1) ** 2 for score in discriminator(noised, times).flatten().tolist())
    assert step.loss.item() == pytest.approx(expected / discriminator(noised, times).numel(), rel=1e-12)


def test_clean_images_reach_the_discriminator_untouched() -> None:
    method = method_of(small("asp-dgrank", "diffusion.clean_fraction=1"))
    data = batch()
    translation = method.forward_pass(data)
    seen: list[tuple[Tensor, Tensor]] = []
    method.networks["discriminator"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    take(method, "discriminator", data, translation, 0.0)
    assert torch.equal(seen[0][0], torch.cat([translation.fake, data.target]))
    assert not seen[0][1].any()


def test_r_is_the_mean_sign_of_real_scores_about_one_half() -> None:
    method, data = method_of(small("asp-dgrank")), batch()
    scores: list[Tensor] = []
    method.networks["discriminator"].register_forward_hook(lambda _, inputs, score: scores.append(score))
    with torch.no_grad():
        method.networks["discriminator"].head.bias.fill_(0.5)
    step = take(method, "discriminator", data, progress=0.0)
    signs = [1.0 if score > 0.5 else -1.0 for score in scores[0][2:].flatten().tolist()]
    assert -1 < sum(signs) / len(signs) < 1
    assert step.terms["D_sign"].item() == pytest.approx(sum(signs) / len(signs))


def test_the_discriminator_can_learn_again_after_the_generator_step() -> None:
    method, data = build(load_recipe("asp-dgrank", SMALL)), batch(1)
    data = Batch(data.source.float(), data.target.float(), data.ids, data.seeds)
    take(method, "generator", data, progress=0.0)
    assert all(p.requires_grad for p in method.parameters())


def test_the_two_sides_share_no_parameter_and_leave_none_out() -> None:
    method = build(small("asp-dgrank"))
    sides = [{id(p) for p in method.parameters_of(phase_of(method, side))} for side in ("generator", "discriminator")]
    assert not sides[0] & sides[1]
    assert sides[0] | sides[1] == {id(p) for p in method.parameters()}
    assert sides[1] == {id(p) for p in method.networks["discriminator"].parameters()}


def test_attention_maps_stay_distributions_under_the_tissue_prior() -> None:
    method = build(small("asp-dgrank", "a2sp.tissue_prior=true", "patches.layers=[0, 8]"))
    target = torch.ones(2, 3, 40, 40)
    target[..., :20] = -0.3
    for map_ in method.pictures(Batch(target, target, ("a", "b"), (1, 2))).values():
        torch.testing.assert_close(map_.sum(dim=(1, 2)), torch.ones(2))


def test_bf16_autocast_gives_finite_float32_losses() -> None:
    method = build(small("asp-dgrank", "patches.layers=[0, 4, 8, 12, 16]", "patches.count=20"))
    data = batch()
    data = Batch(data.source.float(), data.target.float(), data.ids, data.seeds)
    with torch.autocast("cpu", torch.bfloat16):
        translation = method.forward_pass(data)
        steps = [take(method, name, data, translation) for name in ("discriminator", "generator")]
    for step in steps:
        step.loss.backward()
        assert step.loss.dtype == torch.float32 and step.loss.isfinite()
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


@pytest.mark.parametrize("crop", [41, 42, 43, 50])
def test_a_crop_that_the_encoder_cannot_halve_twice_is_refused(crop: int) -> None:
    with pytest.raises(RestainError, match=rf"data\.crop is {crop}; expected a multiple of 4"):
        build(small("asp-dgrank", f"data.crop={crop}"))


@pytest.mark.parametrize(
    ("base", "name", "fields"),
    [
        ("asp", "cut-lgp", {"a2sp.weight"}),
        ("asp-dgrank-unpaired-literal", "asp-dgrank-unpaired", {"a2sp.weight", "pyramid.weight"}),
        ("asp-dgrank-no-diffusion", "asp-dgrank-baseline", {"a2sp.locations", "a2sp.lookup"}),
        ("asp-dgrank-no-attention", "asp-dgrank-baseline", {"diffusion.enabled"}),
        (
            "cut",
            "fastcut",
            {"patch_nce.weight", "patch_nce.identity", "patch_nce.flip_equivariance"}
            | {"optim.epochs", "optim.decay_epochs"},
        ),
    ],
)
def test_neighbouring_rows_differ_in_exactly_their_fields(base: str, name: str, fields: set[str]) -> None:
    assert set(differences(load_recipe(base).to_flat(), load_recipe(name).to_flat())) - {"name", "about"} == fields


def test_cut_is_its_published_default() -> None:
    recipe = load_recipe("cut")
    assert (recipe.generator.blocks, recipe.generator.spectral_norm) == (9, False)
    cut = recipe.method
    assert (cut.discriminator.ndf, cut.discriminator.layers, cut.discriminator.spectral_norm) == (64, 3, False)
    assert (cut.gan.weight, cut.patch_nce.weight, cut.patch_nce.identity, cut.patches.gain) == (1, 1, True, 0.02)
    assert (cut.a2sp.weight, cut.pyramid.weight, cut.diffusion.enabled, recipe.data.paired) == (
        0,
        0,
        False,
        False,
    )
    assert (recipe.optim.epochs, recipe.optim.decay_epochs, recipe.data.crop) == (200, 200, 256)


def test_networks_are_named_modules() -> None:
    method = build(small("asp-dgrank"))
    assert isinstance(method.networks, nn.ModuleDict)
    assert set(method.networks) == {"generator", "projector", "discriminator"}
    assert "adversarial.horizon.p" in method.state_dict()
    assert not any("horizon" in key for key in build(small("asp")).state_dict())
