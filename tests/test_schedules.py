"""Learning rates over a run, against torch's own schedulers and closed forms."""

import math

import pytest
import torch

from restain.schedules import Schedule

STEPS = 200


def torch_factors(scheduler: type, **options: float) -> list[float]:
    """What a scheduler of torch makes of a learning rate of 1, step by step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = scheduler(optimizer, **options)
    factors = []
    for _ in range(STEPS):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return factors


def factors(schedule: Schedule, decay_start: float) -> list[float]:
    return [schedule.factor(step / STEPS, decay_start) for step in range(STEPS)]


def test_linear_is_flat_and_falls_to_its_end() -> None:
    found = factors(Schedule(), 0.75)
    assert found[:151] == [1.0] * 151
    assert found[150:] == pytest.approx([(200 - step) / 50 for step in range(150, 200)])
    assert found == pytest.approx(
        torch_factors(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda step: 1 - max(0, step - 150) / 50)
    )
    assert Schedule(final=0.1).factor(0.999999, 0.5) == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize("final", [0.0, 0.2])
def test_cosine_is_torchs(final: float) -> None:
    expected = torch_factors(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=STEPS, eta_min=final)
    assert factors(Schedule(kind="cosine", final=final), 0.0) == pytest.approx(expected, abs=1e-9)
    late = factors(Schedule(kind="cosine", final=final), 0.5)
    assert late[:101] == [1.0] * 101
    assert late[150] == pytest.approx((1 + final) / 2)
    assert late[125] == pytest.approx(1 + (final - 1) * (1 - math.cos(math.pi / 4)) / 2)


@pytest.mark.parametrize(("share", "gamma"), [(0.1, 0.5), (0.3, 0.1), (0.025, 0.9)])
def test_step_is_torchs_whenever_the_decay_begins(share: float, gamma: float) -> None:
    expected = torch_factors(torch.optim.lr_scheduler.StepLR, step_size=round(share * STEPS), gamma=gamma)
    for decay_start in (0.0, 0.5, 1.0):
        assert factors(Schedule(kind="step", gamma=gamma, step_share=share), decay_start) == pytest.approx(expected)


@pytest.mark.parametrize("steps", [3, 7, 10, 30, 999, 100_000])
def test_a_step_falls_at_the_right_place_for_every_length_of_a_run(steps: int) -> None:
    schedule = Schedule(kind="step", gamma=0.5, step_share=0.1)
    for count in range(1, 10):
        first = -(-count * steps // 10)  # the first step at or after count tenths of the run
        if first < steps:
            expected = 0.5 ** (10 * first // steps)
            assert schedule.factor(first / steps, 0.5) == pytest.approx(expected)
        assert schedule.factor((first - 1) / steps, 0.5) == pytest.approx(0.5 ** (10 * (first - 1) // steps))


def test_a_run_without_a_decay_keeps_its_rate() -> None:
    for kind in ("linear", "cosine"):
        assert factors(Schedule.model_validate({"kind": kind}), 1.0) == [1.0] * STEPS
