"""What a step does beside the loss: learning rates, averages, clipping, the images of an epoch, engines."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from running import ONCE, first_terms, last_state, log, run, weights
from safetensors.torch import load_file

from restain.errors import RestainError
from restain.methods.contrastive import ContrastiveMethod
from restain.training.optimizers import Optimizers
from restain.types import Batch


def look_after_each_step(monkeypatch: pytest.MonkeyPatch, look: Callable[[ContrastiveMethod], None]) -> None:
    usual = ContrastiveMethod.after_step

    def after_step(self: ContrastiveMethod, *arguments: Any) -> None:
        usual(self, *arguments)
        look(self)

    monkeypatch.setattr(ContrastiveMethod, "after_step", after_step)


def rates(out: Path) -> list[float]:
    return [row["lr"] for row in log(out)]


def test_the_learning_rate_is_flat_then_falls_to_zero(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path / "run", fast, "log.every=1")
    # 12 steps flat; the 13th starts the decay at its full rate.
    expected = [2e-4] * 12 + [2e-4 * (18 - step) / 6 for step in range(12, 18)]
    assert rates(tmp_path / "run") == pytest.approx(expected, rel=1e-5)


def test_optimizers_use_the_logged_rate_times_the_factor_of_their_phase(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: dict[str, list[float]] = {"discriminator": [], "generator": []}
    usual = Optimizers.step

    def step(self: Optimizers, phase: Any) -> None:
        used[phase.name].append(self.adams[phase.name].param_groups[0]["lr"])
        usual(self, phase)

    monkeypatch.setattr(Optimizers, "step", step)
    run(pairs, tmp_path / "run", fast, "log.every=1")
    assert used["discriminator"] == pytest.approx(rates(tmp_path / "run"), rel=1e-5)
    assert used["generator"] == used["discriminator"]


def test_steps_in_place_of_epochs_keep_the_share_of_the_decay(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    run(pairs, tmp_path / "run", fast, "log.every=1", "optim.steps=9")  # one and a half epochs
    expected = [2e-4] * 6 + [2e-4 * (9 - step) / 3 for step in range(6, 9)]
    assert rates(tmp_path / "run") == pytest.approx(expected, rel=1e-5)
    state = last_state(tmp_path / "run")
    assert state["step"] == 9
    assert [row["progress"] for row in log(tmp_path / "run")] == pytest.approx([n / 9 for n in range(1, 10)], rel=1e-5)


def test_the_moving_average_is_the_recursion(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace: list[torch.Tensor] = []
    look_after_each_step(monkeypatch, lambda method: trace.append(method.generator.layers[1].bias.detach().clone()))
    run(pairs, tmp_path / "run", fast, "optim.ema=0.8")
    average = trace[0]  # the first update copies
    for weight in trace[1:]:
        average = 0.8 * average + 0.2 * weight
    state = last_state(tmp_path / "run")
    key = next(name for name in state["average"] if name.endswith("layers.1.bias"))
    torch.testing.assert_close(state["average"][key], average)
    exported = load_file(tmp_path / "run" / "stainer" / "model.safetensors")["layers.1.bias"]
    torch.testing.assert_close(exported, average)


def test_clipping_bounds_the_gradient(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = []
    for name in ("run", "free"):
        seen: list[float] = []

        def look(self: torch.optim.Adam, *_: Any, seen: list[float] = seen, **__: Any) -> None:
            gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
            seen.append(torch.cat(gradients).norm().item())

        monkeypatch.setattr(torch.optim.Adam, "step", look)
        run(pairs, tmp_path / name, fast, *(["optim.clip=0.01"] if name == "run" else []))
        norms.append(seen)
    assert max(norms[0]) <= 0.01 * 1.001
    assert max(norms[1]) > 0.1


def test_an_epoch_shows_every_pair_once(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    usual = ContrastiveMethod.forward_pass

    def look(self: ContrastiveMethod, batch: Batch) -> Any:
        shown.extend(batch.ids)
        return usual(self, batch)

    monkeypatch.setattr(ContrastiveMethod, "forward_pass", look)
    run(pairs, tmp_path / "run", fast)
    assert len(shown) == 18
    for epoch in range(3):
        assert len(set(shown[6 * epoch : 6 * epoch + 6])) == 6
    assert shown[:6] != shown[6:12]


def test_a_parameter_without_a_gradient_is_refused_at_the_first_step(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = ContrastiveMethod.__init__

    def with_one_more(self: ContrastiveMethod, *arguments: Any) -> None:
        usual(self, *arguments)
        self.networks["projector"].forgotten = torch.nn.Linear(2, 2)

    monkeypatch.setattr(ContrastiveMethod, "__init__", with_one_more)
    with pytest.raises(RestainError, match=r"phase generator: 2 parameters got no .* as projector\.forgotten\.weight"):
        run(pairs, tmp_path / "run", fast)
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))


def test_bf16_and_channels_last_train_too(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path / "bf16", fast, *ONCE, "engine.precision=bf16")
    run(pairs, tmp_path / "last", fast, *ONCE, "engine.channels_last=true")
    run(pairs, tmp_path / "plain", fast, *ONCE)
    assert weights(tmp_path / "bf16").isfinite().all()
    assert first_terms(tmp_path / "plain") == pytest.approx(first_terms(tmp_path / "last"), rel=1e-4)


def test_a_compiled_step_is_the_plain_one(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The whole way through graph capture and automatic differentiation; C++ code for a CPU takes minutes to build.
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    short = (*fast, "generator.blocks=1", "patches.layers=[0, 4, 8]", "optim.steps=1", "log.every=1")
    run(pairs, tmp_path / "plain", short)
    run(pairs, tmp_path / "compiled", short, "engine.compile=true")
    assert first_terms(tmp_path / "plain") == pytest.approx(first_terms(tmp_path / "compiled"), rel=1e-4)
