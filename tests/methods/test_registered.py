"""RegGAN: its terms by hand, with the published weights."""

import pytest
import torch
from contract import batch_for, small
from stepping import build, take

from restain.networks.displacement import warp


def test_the_generator_phase_is_the_published_sum() -> None:
    recipe = small("reggan")
    method, batch = build(recipe).double(), batch_for(recipe)
    batch = type(batch)(batch.source.double(), batch.target.double(), batch.ids, batch.seeds)
    with torch.no_grad():  # a warp that is not zero
        torch.nn.init.normal_(method.networks["registration"].out.weight, 0, 0.05, torch.Generator().manual_seed(1))
    step = take(method, "generator", batch)
    fake = method.stainer()(batch.source)
    flow = method.networks["registration"](fake, batch.target)
    score = method.networks["discriminator"](fake).flatten(1).mean(dim=1)
    steps = [flow[:, :, 1:] - flow[:, :, :-1], flow[..., 1:] - flow[..., :-1]]
    expected = (
        ((score - 1) ** 2).mean()
        + 20 * (warp(fake, flow) - batch.target).abs().mean()
        + 10 * sum((s**2).mean() for s in steps)
    )
    assert flow.abs().max() > 0
    assert step.loss.item() == pytest.approx(expected.item(), rel=1e-9)


def test_the_discriminator_phase_is_not_halved() -> None:
    recipe = small("reggan")
    method, batch = build(recipe), batch_for(recipe)
    step = take(method, "discriminator", batch)
    scores = [
        method.networks["discriminator"](x).flatten(1).mean(dim=1) for x in (method.forward_pass(batch), batch.target)
    ]
    expected = (scores[0] ** 2).mean() + ((scores[1] - 1) ** 2).mean()
    torch.testing.assert_close(step.loss, expected)


def test_the_displacement_is_a_picture_of_the_run() -> None:
    recipe = small("reggan")
    method, batch = build(recipe), batch_for(recipe)
    with torch.no_grad():
        method.networks["registration"].out.bias.copy_(torch.tensor([3.0, 4.0]))
    torch.testing.assert_close(method.pictures(batch)["displacement"], torch.full((2, 40, 40), 5.0))
