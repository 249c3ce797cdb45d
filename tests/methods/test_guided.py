"""TDKStain: its sums with the published weights, who is stepped by what, and what it refuses."""

import pytest
import torch
from contract import batch_for, small
from stepping import build, take

from restain.errors import RestainError
from restain.types import Batch


def prepared() -> tuple:
    recipe = small("tdkstain")
    method, batch = build(recipe).double(), batch_for(recipe)
    maps = {name: values.double() for name, values in batch.maps.items()}
    return method, Batch(batch.source.double(), batch.target.double(), batch.ids, batch.seeds, maps)


def density_error(method, batch: Batch, ihc: torch.Tensor) -> torch.Tensor:
    """By the layers of the generator, run one by one."""
    found, x = [], ihc
    for index, layer in enumerate(method.stainer().layers[:13]):
        x = layer(x)
        if index in (6, 9, 12):
            found.append(x)
    assert [f.shape[-1] for f in found] == [20, 10, 5]
    return ((method.networks["estimator"](found, (40, 40)) - batch.maps["nuclei"]) ** 2).mean()


def test_the_generator_phase_is_the_published_sum() -> None:
    method, batch = prepared()
    generator, dab = method.stainer(), batch.maps["dab"]
    fake = generator(batch.source)
    scores = method.networks["discriminator"](torch.cat([batch.source, fake], dim=1))
    expected = (
        sum(((score - 1) ** 2).mean() for score in scores)
        + 10 * (fake - batch.target).abs().mean()
        + 10 * (generator(batch.source * dab) - batch.target * dab).abs().mean()
        + 10 * density_error(method, batch, fake)
    )
    assert len(scores) == 2
    assert take(method, "generator", batch).loss.item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_discriminator_is_summed_over_scales_and_halved() -> None:
    method, batch = prepared()
    fake = method.forward_pass(batch)
    expected = 0.0
    for ihc, label in ((fake, 0), (batch.target, 1)):
        for score in method.networks["discriminator"](torch.cat([batch.source, ihc], dim=1)):
            expected += ((score - label) ** 2).mean().item() / 2
    assert take(method, "discriminator", batch, fake).loss.item() == pytest.approx(expected, rel=1e-9)


def test_the_estimator_learns_on_the_real_ihc() -> None:
    method, batch = prepared()
    expected = 10 * density_error(method, batch, batch.target)
    assert take(method, "estimator", batch).loss.item() == pytest.approx(expected.item(), rel=1e-9)


def test_three_halvings_of_the_published_generator() -> None:
    recipe = small("tdkstain", "generator.ngf=2")
    generator = build(recipe).stainer()
    assert generator.receptive_field().stride == 8 and recipe.generator.stride == 8
    assert recipe.generator.first_block == 13 and generator.layers[13].conv_block[1].in_channels == 16
    assert [recipe.generator.contrastive_channels(layer) for layer in (6, 9, 12)] == [4, 8, 16]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("data.paired=false", r"data\.paired is false; expected true"),
        ("discriminator.scales=4", r"data\.crop is 40; discriminator\.layers 2 at .*scales 4 needs at least 96 pixels"),
        ("generator={kind: unet}", r"generator\.kind is 'unet'; expected 'resnet'"),
    ],
)
def test_what_does_not_go_together_is_refused(override: str, words: str) -> None:
    with pytest.raises(RestainError, match=words):
        small("tdkstain", override)
