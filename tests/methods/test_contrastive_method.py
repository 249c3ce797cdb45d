"""The contrastive family: Eq. 8 put together by hand, where gradients go, and what recipes switch."""

import copy
from collections.abc import Iterable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from stepping import build, take
from torch import Tensor, nn

from restain.errors import RestainError
from restain.losses.dab_amount import amount_losses, dab_optical_density
from restain.losses.pyramid import pyramid_loss
from restain.losses.reconstruction import low_resolution_l1
from restain.methods.base import Progress
from restain.recipes import Recipe, differences, load_recipe
from restain.sampling import attention_map, dab_prior, draw_locations
from restain.types import Batch

SMALL = (
    "generator.ngf=4",
    "generator.blocks=5",
    "discriminator.ndf=4",
    "discriminator.layers=2",
    "patches.count=20",
    "patches.dim=16",
    "data.crop=40",
)


def small(name: str, *overrides: str) -> Recipe:
    return load_recipe(name, (*SMALL, *overrides))


def batch(images: int = 2, side: int = 40) -> Batch:
    source, target = torch.rand(2, images, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1
    return Batch(source, target, tuple("ab"[:images]), tuple(range(10, 10 + images)))


def gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor | None]:
    return [parameter.grad for parameter in parameters]


def test_the_generator_step_is_equation_8() -> None:
    plain = ("generator.spectral_norm=false", "discriminator.spectral_norm=false", "diffusion.enabled=false")
    recipe = small("asp-dgrank", *plain)
    method = build(recipe)
    data, progress = batch(), 0.95  # past the start of the decay (40 of 45 epochs): theta is not uniform
    translation = method.forward_pass(data)
    step = take(method, "generator", data, translation, progress)

    generator, projector = method.networks["generator"], method.networks["projector"]
    fake = generator(data.source)
    gan = ((method.networks["discriminator"](fake) - 1) ** 2).mean()
    features = {
        name: generator.encode(images, method.taps)
        for name, images in (("I", data.source), ("R", data.target), ("F", fake))
    }
    streams = data.streams("patch_nce")
    uniform = [draw_locations(torch.ones_like(f[:, 0]), 20, streams) for f in features["I"]]
    streams = data.streams("a2sp")
    attended = [draw_locations(attention_map(f), 20, streams) for f in features["R"]]
    keys_i, keys_r = projector(features["I"], uniform), projector(features["R"], attended)
    queries_i, queries_r = projector(features["F"], uniform), projector(features["F"], attended)
    p = (1 - progress) / (1 - 40 / 45)
    nce, a2sp = [], []
    for u, v in zip(keys_i, queries_i, strict=True):
        nce.append(cross_entropy_of_cosines(v, u).mean())
    for u, v in zip(keys_r, queries_r, strict=True):
        theta = p + (1 - p) * (u * v).sum(-1).clamp_min(0)
        theta = theta / theta.sum(-1, keepdim=True) * 20
        a2sp.append((theta * cross_entropy_of_cosines(v, u)).mean())
    expected = gan + 10 * sum(nce) / 5 + 10 * sum(a2sp) / 5 + 10 * pyramid_loss(fake, data.target, "asp")
    torch.testing.assert_close(step.loss, expected, rtol=1e-4, atol=1e-4)
    assert set(step.terms) == {"gan", "patch_nce", "a2sp", "pyramid"}
    assert step.terms["a2sp"].item() == pytest.approx((sum(a2sp) / 5).item(), rel=1e-4)


def cross_entropy_of_cosines(queries: Tensor, keys: Tensor) -> Tensor:
    cosines = F.cosine_similarity(queries[:, :, None], keys[:, None], dim=-1) / 0.07
    return torch.logsumexp(cosines, dim=2) - torch.diagonal(cosines, dim1=1, dim2=2)


def test_gradients_of_the_generator_step_go_through_queries_only() -> None:
    method = build(small("asp-dgrank"))
    data = batch()
    translation = method.forward_pass(data)
    keys = [feature.requires_grad_() for feature in (f.detach() for f in translation.features)]
    looked_at = type(translation)(translation.fake, keys)
    take(method, "generator", data, looked_at, 0.5).loss.backward()
    assert all(grad is None for grad in gradients(keys))  # type: ignore[arg-type]
    assert all(grad is None for grad in gradients(method.networks["discriminator"].parameters()))
    for name in ("generator", "projector"):
        assert all(grad is not None and grad.abs().sum() > 0 for grad in weights_of(method.networks[name]))


def weights_of(network: nn.Module) -> list[Tensor | None]:
    # A bias in front of an instance norm has no effect, and so no gradient worth the name.
    return [p.grad for name, p in network.named_parameters() if p.ndim > 1]


def test_the_gradient_is_that_of_the_formula_with_keys_held_fixed() -> None:
    method = build(small("cut-lgp", "generator.spectral_norm=false", "gan.weight=0", "pyramid.weight=0"))
    data = batch(1)
    translation = method.forward_pass(data)
    take(method, "generator", data, translation, 0.0).loss.backward()
    found = method.networks["projector"].heads[1][0].weight.grad.clone()
    method.zero_grad()

    generator, projector = method.networks["generator"], method.networks["projector"]
    streams = data.streams("patch_nce")
    with torch.no_grad():
        features = generator.encode(data.source, method.taps)
        where = [draw_locations(torch.ones_like(f[:, 0]), 20, streams) for f in features]
        keys = projector(features, where)
    queries = projector(generator.encode(generator(data.source), method.taps), where)
    losses = [cross_entropy_of_cosines(v, u).mean() for u, v in zip(keys, queries, strict=True)]
    (10 * sum(losses) / 5).backward()
    torch.testing.assert_close(found, projector.heads[1][0].weight.grad, rtol=1e-3, atol=1e-5)


def test_the_discriminator_step_is_equation_6_and_leaves_the_generator_alone() -> None:
    method = build(small("asp-dgrank-baseline", "discriminator.spectral_norm=false"))
    data = batch()
    translation = method.forward_pass(data)
    step = take(method, "discriminator", data, translation, 0.0)
    step.loss.backward()
    discriminator = method.networks["discriminator"]
    expected = ((discriminator(translation.fake) ** 2).mean() + ((discriminator(data.target) - 1) ** 2).mean()) / 2
    torch.testing.assert_close(step.loss, expected)
    for name in ("generator", "projector"):
        assert all(grad is None for grad in gradients(method.networks[name].parameters()))
    assert all(grad is not None for grad in weights_of(discriminator))


@pytest.mark.parametrize("diffusion", [False, True])
def test_a_conditional_discriminator_sees_the_clean_h_and_e_beside_the_ihc(diffusion: bool) -> None:
    switches = ("gan.conditional=true", f"diffusion.enabled={str(diffusion).lower()}", "diffusion.sigma=1")
    method = build(small("asp-dgrank", *switches, "diffusion.clean_fraction=0"))
    seen: list[Tensor] = []
    method.networks["discriminator"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    data = batch()
    shared = method.forward_pass(data)
    for phase in ("discriminator", "generator"):
        take(method, phase, data, shared, 0.0)
    for_d, for_g = seen
    assert for_d.shape == (4, 6, 40, 40) and for_g.shape == (2, 6, 40, 40)
    torch.testing.assert_close(for_d[:, :3], torch.cat([data.source, data.source]), rtol=0, atol=0)
    torch.testing.assert_close(for_g[:, :3], data.source, rtol=0, atol=0)
    assert torch.equal(for_d[2:, 3:], data.target) is not diffusion
    assert torch.equal(for_g[:, 3:], shared.fake) is not diffusion


def test_batch_norms_average_over_h_and_e_alone() -> None:
    method = build(small("restain", "data.crop=40", "a2sp.weight=1"))
    norms = [module for module in method.generator.modules() if isinstance(module, nn.BatchNorm2d)]
    data = batch()
    shared = method.forward_pass(data)
    before = [norm.running_mean.clone() for norm in norms]
    take(method, "generator", data, shared, 0.0)
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))
    assert all(norm.momentum == 0.1 for norm in norms)


def test_batch_norms_do_not_meet_h_and_e_and_ihc_together() -> None:
    method = build(small("restain", "data.crop=40", "patch_nce.identity=true"))
    norms = [module for module in method.generator.modules() if isinstance(module, nn.BatchNorm2d)]
    data, initial = batch(), copy.deepcopy(method.state_dict())
    shared = method.forward_pass(data)
    averages = [norm.running_mean.clone() for norm in norms]
    method.load_state_dict(initial)
    fake, features = method.generator.translate(data.source, method.taps)
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, averages, strict=True))
    torch.testing.assert_close(shared.fake, fake)
    assert all(map(torch.allclose, shared.features, features))
    assert shared.identity.shape == data.target.shape
    assert len(shared.identity_features) == len(features)


def test_a_conditional_discriminator_needs_pairs_that_are_not_mirrored() -> None:
    with pytest.raises(RestainError, match=r"gan\.conditional is true; expected false where data\.paired is false"):
        small("asp-dgrank-unpaired", "gan.conditional=true")
    with pytest.raises(RestainError, match=r"gan\.conditional and patch_nce\.flip_equivariance are both true"):
        small("fastcut", "gan.conditional=true", "data.paired=true")


def test_diffusion_draws_fake_and_real_times_apart_and_reports_its_state() -> None:
    method = build(small("asp-dgrank", "diffusion.clean_fraction=0", "diffusion.sigma=1"))
    seen: list[tuple[Tensor, Tensor]] = []
    method.networks["discriminator"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    data = batch()
    step = take(method, "discriminator", data, progress=0.0)
    images, times = seen[0]
    assert images.shape[0] == times.shape[0] == 4
    assert (times >= 1).all() and (times <= 10).all()
    assert len(set(times.tolist())) > 1
    assert not torch.equal(images[2:], data.target)
    assert set(step.terms) == {"D_fake", "D_real", "D_sign", "horizon"}
    method.after_step({"D_sign": torch.tensor(1.0)}, {}, 4, Progress(0, 100, 0.5))
    assert method.adversarial.horizon is not None and method.adversarial.horizon.images == 4


@pytest.mark.parametrize("name", ["asp-dgrank", "fastcut", "cut"])
def test_a_batch_of_two_is_two_batches_of_one(name: str) -> None:
    method = build(small(name, "generator.spectral_norm=false", "discriminator.spectral_norm=false"))
    data = batch()
    whole = take(method, "generator", data, progress=0.3).loss
    alone = []
    for n in range(2):
        one = Batch(data.source[n : n + 1], data.target[n : n + 1], data.ids[n : n + 1], data.seeds[n : n + 1])
        alone.append(take(method, "generator", one, progress=0.3).loss)
    torch.testing.assert_close(whole, torch.stack(alone).mean(), rtol=1e-4, atol=1e-4)


def test_fastcut_translates_mirrored_images_and_mirrors_the_features_back() -> None:
    method = build(small("fastcut"))
    method.networks["generator"].eval()
    data = batch()
    shared = method.forward_pass(data)
    mirrored, fake = shared.mirrored, shared.fake
    for n in range(2):
        source = data.source[n : n + 1]
        expected = method.networks["generator"](source.flip(3) if mirrored[n] else source)
        torch.testing.assert_close(fake[n : n + 1], expected)


def test_some_images_are_mirrored_and_some_are_not() -> None:
    method = build(small("fastcut"))
    image = torch.zeros(64, 3, 40, 40)
    share = method.forward_pass(Batch(image, image, ("",) * 64, tuple(range(64)))).mirrored.float().mean()
    assert 0.3 < share < 0.7


def test_cut_averages_the_content_and_the_identity_term() -> None:
    method = build(small("cut", "patches.count=4000"))  # every location: nothing is drawn
    method.networks["generator"].eval()
    data = batch(1)
    both = take(method, "generator", data, progress=0.0).terms["patch_nce"]
    swapped = Batch(data.target, data.target, data.ids, data.seeds)
    plain = build(small("cut", "patches.count=4000", "patch_nce.identity=false"))
    plain.load_state_dict(method.state_dict())
    plain.networks["generator"].eval()
    content = take(plain, "generator", data, progress=0.0).terms["patch_nce"]
    identity = take(plain, "generator", swapped, progress=0.0).terms["patch_nce"]
    torch.testing.assert_close(both, (content + identity) / 2, rtol=1e-4, atol=1e-4)


def test_the_same_seed_builds_the_same_networks_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    first, second = build(small("asp-dgrank")), build(small("asp-dgrank"))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    other = build(small("asp-dgrank", "seed=1"))
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


ABLATIONS = {
    "asp-dgrank-no-attention": {"a2sp.locations", "a2sp.lookup"},
    "asp-dgrank-no-diffusion": {"diffusion.enabled"},
    "asp-dgrank-baseline": {"a2sp.locations", "a2sp.lookup", "diffusion.enabled"},
    "asp-dgrank-unpaired": {"data.paired", "a2sp.weight", "pyramid.weight"},
    "asp-dgrank-unpaired-literal": {"data.paired"},
    "asp": {"a2sp.locations", "diffusion.enabled", "optim.epochs", "optim.decay_epochs", "patches.gain"},
}


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_differ_in_exactly_their_fields(name: str) -> None:
    changed = differences(load_recipe("asp-dgrank").to_flat(), load_recipe(name).to_flat())
    assert set(changed) - {"name", "about"} == ABLATIONS[name]


def test_uniform_lookup_makes_every_weight_one() -> None:
    uniform = build(small("asp-dgrank-no-attention", "patches.count=4000"))
    data = batch(1)
    late = take(uniform, "generator", data, progress=0.99).terms["a2sp"]
    fixed = build(small("asp-dgrank-no-attention", "patches.count=4000", "a2sp.schedule=zero"))
    torch.testing.assert_close(late, take(fixed, "generator", data, progress=0.99).terms["a2sp"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("data.crop=16",), "data.crop is 16; pyramid.form asp needs at least 33"),
        (("discriminator.layers=5",), "discriminator.layers 5 needs at least 96"),
        (("patches.layers=[0, 40]",), "patches.layers: contrastive layer 40"),
        (("low_resolution.weight=1", "low_resolution.factor=3"), r"data\.crop is 40; .* low_resolution\.factor, 3"),
        (("a2sp.uniform_layers=[0, 5]",), r"a2sp\.uniform_layers holds 5; .* patches\.layers"),
        (("patch_nce.identity=true", "patch_nce.flip_equivariance=true"), "patch_nce.identity"),
    ],
)
def test_fields_that_do_not_go_together_are_named(overrides: tuple[str, ...], words: str) -> None:
    with pytest.raises(RestainError, match=words):
        build(small("asp-dgrank", *overrides))


def test_attention_maps_sum_to_one_and_follow_the_prior() -> None:
    method = build(small("asp-dgrank", "a2sp.tissue_prior=true"))
    target = torch.ones(1, 3, 40, 40)
    target[..., :20] = -0.3
    maps = method.pictures(Batch(target, target, ("a",), (1,)))
    assert set(maps) == {"layer00", "layer04", "layer08", "layer12", "layer16"}
    assert maps["layer00"][..., 26:].max() == 0


def test_the_terms_that_compare_with_the_real_ihc_join_equation_8() -> None:
    fields = ("low_resolution.weight=3", "low_resolution.factor=5", "amount.weight=2", "amount.blocks=0.25")
    method = build(small("asp-dgrank", *fields))
    data = batch()
    translation = method.forward_pass(data)
    step = take(method, "generator", data, translation)
    fake = translation.fake.detach()
    amounts = amount_losses(dab_optical_density(fake), dab_optical_density(data.target))
    expected = {
        "low_resolution": (3, low_resolution_l1(fake, data.target, 5)),
        "amount_mean": (2, amounts.mean),
        "amount_distribution": (0.6, amounts.distribution),
        "amount_blocks": (0.5, amounts.blocks),
    }
    weights = {"gan": 1, "patch_nce": 10, "a2sp": 10, "pyramid": 10} | {name: w for name, (w, _) in expected.items()}
    assert set(step.terms) == set(weights)
    for name, (_, value) in expected.items():
        torch.testing.assert_close(step.terms[name], value)
    total = sum(weight * step.terms[name] for name, weight in weights.items())
    torch.testing.assert_close(step.loss.detach(), total)


def test_a_pair_counts_by_its_weight_where_it_is_compared_and_nowhere_else() -> None:
    plain = ("generator.spectral_norm=false", "discriminator.spectral_norm=false")
    method = build(small("asp-dgrank", *plain, "low_resolution.weight=1", "amount.weight=1"))
    data = batch()
    whole = [take(method, "generator", replace(part(data, n), weights=None), progress=0.95).terms for n in range(2)]
    found = take(method, "generator", replace(data, weights=torch.tensor([0.5, 0.0])), progress=0.95).terms
    for name, value in found.items():
        first, second = (terms[name] for terms in whole)
        expected = (first + second) / 2 if name in ("gan", "patch_nce") else first / 4
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5, msg=name)


def part(data: Batch, n: int) -> Batch:
    one = slice(n, n + 1)
    return Batch(data.source[one], data.target[one], data.ids[one], data.seeds[one])


@pytest.mark.parametrize("diffusion", ["true", "false"])
def test_r1_is_lazy_and_penalises_what_the_discriminator_sees(diffusion: str) -> None:
    overrides = ("r1.weight=5", "r1.every=4", f"diffusion.enabled={diffusion}", "discriminator.spectral_norm=false")
    method, data = build(small("asp-dgrank", *overrides)), batch()
    shared = method.forward_pass(data)
    off, due = (method.loss(method.phases[0], data, shared, Progress(step, 100, 0.5)) for step in (5, 8))
    assert "D_r1" not in off.terms and set(due.terms) - set(off.terms) == {"D_r1"}
    torch.testing.assert_close((due.loss - off.loss).detach(), 5 * 4 * due.terms["D_r1"], rtol=1e-4, atol=1e-5)
    if diffusion == "false":
        discriminator, step = method.networks["discriminator"], 1e-3
        real = data.target.double()
        discriminator.double()
        towards = torch.randn_like(real)
        score = lambda image: discriminator(image).sum()  # noqa: E731
        slope = (score(real + step * towards) - score(real - step * towards)) / (2 * step)
        gradient = torch.autograd.functional.jacobian(score, real)
        torch.testing.assert_close(slope.detach(), (gradient * towards).sum(), rtol=1e-3, atol=1e-3)
        scores = discriminator(real)[0].numel()
        torch.testing.assert_close(due.terms["D_r1"].double(), gradient.square().sum() / 2 / scores, rtol=1e-3, atol=0)


def test_attention_is_sharpened_and_layers_can_be_left_out_of_it() -> None:
    method = build(small("asp-dgrank", "a2sp.power=4", "a2sp.uniform_layers=[0]", "a2sp.dab_prior=false"))
    data = batch(1)
    maps = method.pictures(data)
    features = method.generator.encode(data.target, method.taps)
    assert maps["layer00"].std() < 1e-9
    torch.testing.assert_close(maps["layer12"], attention_map(features[3], 4.0))
    with_prior = build(small("asp-dgrank", "a2sp.dab_prior=true")).pictures(data)["layer12"]
    expected = attention_map(features[3]) * dab_prior(dab_optical_density(data.target), (10, 10))
    torch.testing.assert_close(with_prior, expected / expected.sum(), rtol=1e-4, atol=1e-7)
