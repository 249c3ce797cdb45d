"""UNIT: its sums by hand with the published weights, its noise, and what it refuses."""

import pytest
import torch
from contract import batch_for, small
from stepping import build, take

from restain.errors import RestainError
from restain.types import Batch


def prepared() -> tuple:
    recipe = small("unit")
    method, batch = build(recipe).double(), batch_for(recipe)
    return method, Batch(batch.source.double(), batch.target.double(), batch.ids, batch.seeds)


def noisy(mean: torch.Tensor, batch: Batch, purpose: str) -> torch.Tensor:
    return mean + torch.stack([torch.randn(mean.shape[1:], generator=g) for g in batch.streams(purpose)]).double()


def test_the_generators_phase_is_the_published_sum() -> None:
    method, batch = prepared()
    nets = method.networks
    encode = {"he": nets["generator"].encoder, "ihc": nets["generator_back"].encoder}
    decode = {"ihc": nets["generator"].decoder, "he": nets["generator_back"].decoder}
    images = {"he": batch.source, "ihc": batch.target}
    expected = 0.0
    for stain, other in (("he", "ihc"), ("ihc", "he")):
        mean = encode[stain](images[stain])
        z = noisy(mean, batch, f"latent/{stain}")
        virtual = decode[other](z)
        again = encode[other](virtual)
        cycled = decode[stain](noisy(again, batch, f"latent/{stain}_again"))
        expected = expected + sum(((score - 1) ** 2).mean() for score in nets[f"discriminator_{other}"](virtual))
        expected = expected + 10 * (decode[stain](z) - images[stain]).abs().mean()
        expected = expected + 10 * (cycled - images[stain]).abs().mean()
        expected = expected + 0.01 * (mean**2).mean() + 0.01 * (again**2).mean()
    assert take(method, "generators", batch).loss.item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_discriminators_are_summed_over_scales_and_not_halved() -> None:
    method, batch = prepared()
    shared = method.forward_pass(batch)
    expected = 0.0
    for name, fake, real in (("ihc", shared.ihc, batch.target), ("he", shared.he, batch.source)):
        discriminator = method.networks[f"discriminator_{name}"]
        expected += sum((score**2).mean().item() for score in discriminator(fake))
        expected += sum(((score - 1) ** 2).mean().item() for score in discriminator(real))
    assert take(method, "discriminators", batch, shared).loss.item() == pytest.approx(expected, rel=1e-9)


def test_the_stainer_decodes_the_means_without_noise() -> None:
    method, batch = prepared()
    nets = method.networks
    with torch.no_grad():
        expected = nets["generator"].decoder(nets["generator"].encoder(batch.source))
        assert torch.equal(method.stainer()(batch.source), expected)
        assert not torch.equal(method.forward_pass(batch).ihc, expected)


def test_every_network_is_stepped_with_weight_decay() -> None:
    assert {phase.weight_decay for phase in build(small("unit")).phases} == {1e-4}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("generator={kind: resnet}", r"generator\.kind is 'resnet'; expected 'autoencoder'"),
        ("discriminator.layers=4", r"data\.crop is 40; discriminator\.layers 4 at .*scales 3 needs at least 64 pixels"),
    ],
)
def test_what_does_not_go_together_is_refused(override: str, words: str) -> None:
    with pytest.raises(RestainError, match=words):
        small("unit", override)


def test_shared_blocks_are_the_same_ones_and_are_stepped_once() -> None:
    recipe = small("unit", "latent.shared_blocks=1")
    method = build(recipe)
    there, back = (method.networks[name] for name in ("generator", "generator_back"))
    assert back.encoder[-1] is there.encoder[-1]
    assert back.decoder[0] is there.decoder[0]
    assert back.encoder[0] is not there.encoder[0]
    assert back.decoder[-2] is not there.decoder[-2]
    phase = method.phases[1]
    parameters = list(method.parameters_of(phase))
    assert len(parameters) == len({id(parameter) for parameter in parameters})
    each = sum(len(list(network.parameters())) for network in (there, back))
    shared = sum(len(list(block.parameters())) for block in (there.encoder[-1], there.decoder[0]))
    assert len(parameters) == each - shared


def test_more_shared_blocks_than_there_are_is_refused() -> None:
    with pytest.raises(RestainError, match=r"latent\.shared_blocks is 9; generator\.blocks is \d"):
        small("unit", "latent.shared_blocks=9")
