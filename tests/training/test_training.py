"""The loop: exact resume, division over processes and batches, schedules, and what stops it."""

import csv
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small import FAST, write_pairs

from restain.errors import RestainError
from restain.methods.base import Step
from restain.methods.contrastive import ContrastiveMethod
from restain.stainer import load_stainer
from restain.training.checkpoint import checkpoints, load_checkpoint
from restain.training.distributed import Machine
from restain.training.loop import Trainer
from restain.training.session import train

CPU = Machine("cpu")


def run(pairs: Path, out: Path, fast: tuple[str, ...], *more: str, recipe: str = "tiny", resume: bool = False) -> Path:
    return train(pairs, out, recipe, (*fast, *more), resume, CPU)


def command(pairs: Path, out: Path, fast: tuple[str, ...], *more: str) -> list[str]:
    sets = [word for override in fast for word in ("--set", override)]
    start = [sys.executable, "-m", "restain.cli", "train", "--recipe", "tiny", "--device", "cpu"]
    return [*start, "--data", str(pairs), "--out", str(out), *sets, *more]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def last_state(out: Path) -> dict[str, Any]:
    return load_checkpoint(checkpoints(out / "checkpoints")[-1])


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(equal(a, b) for a, b in zip(first, second, strict=True))
    return bool(first == second)


def logged_steps(out: Path) -> list[int]:
    with (out / "logs" / "train.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of 18 steps with a moving average."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(pairs, out, FAST, "optim.ema=0.9")
    return out


# --- resume


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int, error: type[BaseException]) -> None:
    usual = Trainer._train_step

    def stop(self: Trainer, batches: Any) -> None:
        if self.step == step:
            raise error
        usual(self, batches)

    monkeypatch.setattr(Trainer, "_train_step", stop)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_in_an_epoch_resumes_to_the_same_bits(
    pairs: Path, fast: tuple[str, ...], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 10, KeyboardInterrupt)  # two steps past the checkpoint at 8, in the second epoch
        run(pairs, out, fast, "optim.ema=0.9")
    assert last_state(out)["step"] == 8
    torch.rand(5)  # whatever else the process draws must not matter
    run(pairs, out, fast, "optim.ema=0.9", f"engine.workers={workers}", resume=True)
    expected, found = last_state(whole), last_state(out)
    for part in ("step", "method", "optimizers", "average", "data"):
        assert equal(found[part], expected[part]), part
    assert equal(*(load_file(root / "stainer" / "model.safetensors") for root in (out, whole)))
    assert logged_steps(out) == logged_steps(whole) == list(range(2, 19, 2))


def signalled(line: list[str], out: Path, how: signal.Signals, group: bool) -> tuple[int, str]:
    """Run a command, signal it (alone, or its whole group) after its first checkpoint; exit status and stderr."""
    with subprocess.Popen(
        line, stderr=subprocess.PIPE, text=True, env=environment(), start_new_session=True
    ) as process:
        deadline = time.monotonic() + 120
        while not checkpoints(out / "checkpoints") and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        (os.killpg if group else os.kill)(process.pid, how)
        _, said = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_told_to_stop_or_killed_resumes_to_the_same_bits(
    pairs: Path, fast: tuple[str, ...], whole: Path, tmp_path: Path, how: signal.Signals
) -> None:
    out = tmp_path / "run"
    sets = (*fast, "optim.ema=0.9")
    # A terminal's Ctrl-C and SLURM signal the whole group, the loader's workers too.
    status, said = signalled(command(pairs, out, (*sets, "engine.workers=2")), out, how, group=True)
    saved = checkpoints(out / "checkpoints")
    step = load_checkpoint(saved[-1])["step"]  # readable, whatever happened
    if how != signal.SIGKILL and step < 18:
        assert status == 2, said[-3000:]
        assert f"stopped by {how.name} at step {step} of 18" in said
        assert "Traceback" not in said
    run(pairs, out, sets, resume=True)
    expected, found = last_state(whole), last_state(out)
    for part in ("step", "method", "optimizers", "average"):
        assert equal(found[part], expected[part]), part
    steps = logged_steps(out)
    assert steps == sorted(set(steps)) and set(steps) == {*range(2, 19, 2), *([step] if how != signal.SIGKILL else [])}
    assert len(checkpoints(out / "checkpoints")) == 2
    assert not any(path.name.startswith(".") for path in out.rglob("*"))


def test_one_of_two_processes_is_told_to_stop_and_both_do(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "run"
    line = command(pairs, out, (*fast, "optim.epochs=100"), "--devices", "2")
    status, said = signalled(line, out, signal.SIGTERM, group=False)
    step = last_state(out)["step"]
    assert status == 2 and "Traceback" not in said, said[-3000:]
    assert f"stopped by SIGTERM at step {step} of 303; the state is saved" in said
    assert f"stopped by another process at step {step} of 303" in said


def test_resume_refuses_other_data_and_other_recipes(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "run"
    run(pairs, out, fast)
    with pytest.raises(RestainError, match=r"already holds a run; give --resume"):
        run(pairs, out, fast)
    with pytest.raises(RestainError, match=r"optim\.lr was 0\.0002, now 0\.001"):
        run(pairs, out, fast, "optim.lr=1e-3", resume=True)
    other = write_pairs(tmp_path / "other", seed=1, train=7)
    with pytest.raises(RestainError, match="was trained on other data"):
        run(other, out, fast, resume=True)
    run(pairs, out, fast, "log.every=3", "engine.workers=1", resume=True)  # these two may change


def test_a_resumed_run_may_divide_its_steps_otherwise(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "run"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_at(patch, 6, KeyboardInterrupt)
            run(pairs, tmp_path / name, (*fast, *UNNORMED), "optim.batch=2")
    with pytest.raises(RestainError, match=r"was made with 2 images a step over all processes, now 1"):
        run(pairs, tmp_path / "run", (*fast, *UNNORMED), resume=True)
    run(pairs, tmp_path / "whole", (*fast, *UNNORMED), "optim.batch=2", resume=True)
    run(pairs, tmp_path / "run", (*fast, *UNNORMED), "optim.accumulate=2", resume=True)
    assert relative_difference(tmp_path / "whole", tmp_path / "run") < CLOSE


def test_what_was_logged_before_an_interruption_is_on_disk(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, 5, KeyboardInterrupt)
        run(pairs, tmp_path / "run", fast, "log.tensorboard=true")
    events = EventAccumulator(str(tmp_path / "run" / "logs" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("G")] == logged_steps(tmp_path / "run") == [2, 4]


def test_resume_without_a_checkpoint_starts_afresh(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path / "run", fast, "optim.epochs=1", "optim.decay_epochs=0", resume=True)
    assert last_state(tmp_path / "run")["step"] == 6


# --- division of a step

UNNORMED = (
    "generator.spectral_norm=false",
    "discriminator.spectral_norm=false",
    "log.every=1",
)  # power iterations count passes


# Rounding differs between the two sides, and Adam turns the rounding noise in a gradient that should be zero (a bias in
# front of an instance norm) into full steps, so biases are left out and the rest is compared to a per cent: another
# seed is a hundred times further away.
CLOSE, FAR = 1e-2, 0.5
MOVING = ("diffusion.target=-1", "diffusion.ramp_kimg=0.05")  # a horizon that leaves its start within a few steps


def weights(out: Path) -> torch.Tensor:
    state = last_state(out)["method"]
    return torch.cat([value.double().flatten() for name, value in state.items() if name.endswith("weight")])


def first_terms(out: Path) -> dict[str, float]:
    """The first line of the log; with ``log.every=1``, every term of the first step, before rounding can grow."""
    with (out / "logs" / "train.csv").open() as file:
        row = next(csv.DictReader(file))
    return {name: float(value) for name, value in row.items() if name != "images_per_second"}


def relative_difference(first: Path, second: Path) -> float:
    a, b = weights(first), weights(second)
    return ((a - b).norm() / a.norm()).item()


def test_two_micro_batches_are_one_batch_of_two(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    sets = (*fast, *UNNORMED, *MOVING)
    run(pairs, tmp_path / "batch", sets, "optim.batch=2")
    run(pairs, tmp_path / "accumulate", sets, "optim.accumulate=2")
    run(pairs, tmp_path / "other", sets, "optim.batch=2", "seed=1")
    assert relative_difference(tmp_path / "batch", tmp_path / "accumulate") < CLOSE
    assert relative_difference(tmp_path / "batch", tmp_path / "other") > FAR
    assert first_terms(tmp_path / "batch") == pytest.approx(first_terms(tmp_path / "accumulate"), rel=1e-4)
    horizons = [last_state(tmp_path / name)["method"]["horizon.p"] for name in ("batch", "accumulate")]
    assert horizons[0] == horizons[1] > 0.1


@pytest.mark.parametrize("launcher", ["fabric", "torchrun"])
def test_two_processes_are_one_with_a_batch_of_two(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, launcher: str
) -> None:
    sets = (*fast, *UNNORMED, *MOVING)
    run(pairs, tmp_path / "one", sets, "optim.batch=2")
    line = command(pairs, tmp_path / "two", sets, "--devices", "2")
    if launcher == "torchrun":
        line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *line[1:]]
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert relative_difference(tmp_path / "one", tmp_path / "two") < CLOSE
    assert first_terms(tmp_path / "one") == pytest.approx(first_terms(tmp_path / "two"), rel=1e-4)
    states = [last_state(tmp_path / name) for name in ("one", "two")]
    assert states[0]["method"]["horizon.p"] == states[1]["method"]["horizon.p"] > 0.1
    assert states[0]["images_per_step"] == states[1]["images_per_step"] == 2
    assert logged_steps(tmp_path / "two") == logged_steps(tmp_path / "one")
    load_stainer(tmp_path / "two")


def test_resume_refuses_another_number_of_images_a_step(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path / "run", fast)
    line = command(pairs, tmp_path / "run", fast, "--devices", "2", "--resume")
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=240)
    assert done.returncode != 0
    assert "was made with 1 images a step over all processes, now 2" in done.stderr


# --- schedules and averages


def traced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, torch.Tensor]]:
    """Learning rate used in, and the weights of one layer after, every step."""
    trace: list[tuple[float, torch.Tensor]] = []
    usual = Trainer._train_step

    def record(self: Trainer, batches: Any) -> None:
        usual(self, batches)
        weight = self.generator.layers[1].bias
        trace.append((self.optimizers["generator"].param_groups[0]["lr"], weight.detach().clone()))

    monkeypatch.setattr(Trainer, "_train_step", record)
    return trace


def test_the_learning_rate_is_flat_then_falls_to_zero(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = traced(monkeypatch)
    run(pairs, tmp_path / "run", fast)
    rates = [rate for rate, _ in trace]
    assert rates[:13] == pytest.approx([2e-4] * 13)  # 12 steps flat; the 13th starts the decay at its full rate
    assert rates[12:] == pytest.approx([2e-4 * (18 - step) / 6 for step in range(12, 18)])


def test_the_moving_average_is_the_recursion(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = traced(monkeypatch)
    run(pairs, tmp_path / "run", fast, "optim.ema=0.8")
    average = trace[0][1]  # the first update copies
    for _, weight in trace[1:]:
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
    usual = Trainer._fetch

    def look(self: Trainer, batches: Any) -> Any:
        batch = usual(self, batches)
        shown.extend(batch.ids)
        return batch

    monkeypatch.setattr(Trainer, "_fetch", look)
    run(pairs, tmp_path / "run", fast)
    assert len(shown) == 18
    for epoch in range(3):
        assert len(set(shown[6 * epoch : 6 * epoch + 6])) == 6
    assert shown[:6] != shown[6:12]


# --- engines


ONCE = ("optim.epochs=1", "optim.decay_epochs=0", "log.every=1")


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
    run(pairs, tmp_path / "plain", fast, *ONCE)
    run(pairs, tmp_path / "compiled", fast, *ONCE, "engine.compile=true")
    assert first_terms(tmp_path / "plain") == pytest.approx(first_terms(tmp_path / "compiled"), rel=1e-4)


# --- what stops a run


def test_a_loss_that_is_not_finite_stops_the_run_by_name(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = ContrastiveMethod.generator_step
    calls = []

    def poisoned(self: ContrastiveMethod, *arguments: Any) -> Step:
        step = usual(self, *arguments)
        calls.append(1)
        if len(calls) == 7:
            step.terms["a2sp"] = torch.tensor(float("nan"))
        return step

    monkeypatch.setattr(ContrastiveMethod, "generator_step", poisoned)
    out = tmp_path / "run"
    with pytest.raises(RestainError, match=r"loss term a2sp is nan at step 7; .*nonfinite.*last good checkpoint"):
        run(pairs, out, fast)
    assert [load_checkpoint(path)["step"] for path in checkpoints(out / "checkpoints")] == [4]
    assert checkpoints(out / "nonfinite")
    assert logged_steps(out) == [2, 4, 6]


def test_weights_that_are_not_finite_are_no_checkpoint(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Trainer._update

    def poisoned(self: Trainer, side: str) -> None:
        if self.step == 7 and side == "generator":  # its losses are finite; those of the next step will not be
            next(self.method.parameters_of(side)).grad.fill_(float("inf"))  # type: ignore[union-attr]
        usual(self, side)

    monkeypatch.setattr(Trainer, "_update", poisoned)
    out = tmp_path / "run"
    with pytest.raises(RestainError, match=r"the generator has weights that are not finite at step 8; .*00000004\.pt"):
        run(pairs, out, fast)
    assert [load_checkpoint(path)["step"] for path in checkpoints(out / "checkpoints")] == [4]


def test_an_error_of_any_kind_ends_the_process_and_its_workers(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    # Python waits at exit for workers that were told to end by one SIGTERM, and that is one they live through.
    script = tmp_path / "broken.py"
    script.write_text(
        "import sys\nfrom restain.cli import main\nfrom restain.training.loop import Trainer\n"
        "Trainer._update = lambda self, side: {}['unforeseen']\nmain()\n"
    )
    line = [sys.executable, str(script), *command(pairs, tmp_path / "run", (*fast, "engine.workers=2"))[3:]]
    done = subprocess.run(line, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == 1 and "KeyError: 'unforeseen'" in done.stderr


POISONED = """
import torch
from restain.cli import main
from restain.methods.contrastive import ContrastiveMethod

usual, calls = ContrastiveMethod.generator_step, []

def poisoned(self, *arguments):
    step = usual(self, *arguments)
    calls.append(1)
    if len(calls) == 7:
        step.terms["a2sp"] = torch.tensor(float("nan"))
    return step

ContrastiveMethod.generator_step = poisoned
main()
"""


def test_two_processes_stop_together_where_a_loss_is_not_finite(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    out, script = tmp_path / "run", tmp_path / "poisoned.py"
    script.write_text(POISONED)
    line = command(pairs, out, (*fast, "optim.epochs=5"), "--devices", "2")
    done = subprocess.run(
        [sys.executable, str(script), *line[3:]], capture_output=True, text=True, env=environment(), timeout=240
    )
    assert done.returncode == 2, done.stderr[-2000:]
    assert "loss term a2sp is nan at step 7" in done.stderr and "Traceback" not in done.stderr
    assert [load_checkpoint(path)["step"] for path in checkpoints(out / "checkpoints")] == [4]
    assert [load_checkpoint(path)["step"] for path in checkpoints(out / "nonfinite")] == [8]


def test_out_of_memory_names_the_settings(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Trainer, "_train_step", full)
    with pytest.raises(RestainError, match=r"optim\.batch 1 and data\.crop 40: lower"):
        run(pairs, tmp_path / "run", fast)


def test_a_crop_that_does_not_fit_is_found_at_the_start(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(RestainError, match=r"s\d_0_\d\.png: is 48 x 48 pixels; expected at least the crop, 64"):
        run(pairs, tmp_path / "run", fast, "data.crop=64")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_later_is_named_in_one_sentence(fast: tuple[str, ...], tmp_path: Path, workers: int) -> None:
    data = write_pairs(tmp_path / "data", val=0)
    broken = data / "trainA" / "s5_0_5.png"
    broken.write_bytes(broken.read_bytes()[:200])  # the header, and so the size, is still there
    with pytest.raises(RestainError) as error:
        run(data, tmp_path / "run", fast, f"engine.workers={workers}")
    assert str(error.value).startswith(str(broken)) and "\n" not in str(error.value)


def test_a_device_that_is_not_there_is_refused(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(RestainError, match="expected auto, cpu or cuda"):
        train(pairs, tmp_path / "run", "tiny", fast, machine=Machine("tpu"))
    if not torch.cuda.is_available():
        with pytest.raises(RestainError, match="sees no CUDA device"):
            train(pairs, tmp_path / "run", "tiny", fast, machine=Machine("cuda"))


def test_counts_of_processes_that_cannot_be_are_refused(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RestainError, match="devices is 0 and nodes 1; expected at least 1 of each"):
        train(pairs, tmp_path / "run", "tiny", fast, machine=Machine("cpu", 0))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")  # as torchrun does
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RestainError, match="torchrun started 2 processes, but devices is 1 and nodes 1"):
        run(pairs, tmp_path / "run", fast)
    assert not (tmp_path / "run").exists()


# --- what is left behind


def test_the_run_folder_holds_what_it_says(whole: Path) -> None:
    for name in ("recipe.yaml", "environment.json", "data.json", "stainer/README.md", "samples/step-00000018.png"):
        assert (whole / name).is_file(), name
    assert len(list((whole / "attention").glob("*-layer*.png"))) == 2 * 5
    assert [load_checkpoint(path)["step"] for path in checkpoints(whole / "checkpoints")] == [16, 18]
    stainer = load_stainer(whole)
    assert stainer.card.recipe == "tiny" and stainer.card.trained["steps"] == 18
    assert not any(path.name.startswith(".") for path in whole.rglob("*"))


def test_a_run_folders_own_recipe_repeats_the_run(pairs: Path, whole: Path, tmp_path: Path) -> None:
    train(pairs, tmp_path / "again", whole / "recipe.yaml", machine=CPU)
    assert equal(last_state(tmp_path / "again")["method"], last_state(whole)["method"])


def test_unpaired_folders_with_other_names_train(fast: tuple[str, ...], tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", val=0)
    for index, path in enumerate(sorted((data / "trainB").iterdir())[:4]):
        path.rename(path.with_name(f"ihc_{index}.png"))
    for path in sorted((data / "trainB").iterdir()):
        if not path.name.startswith("ihc"):
            path.unlink()
    run(data, tmp_path / "run", fast, recipe="asp-dgrank-unpaired")
    assert last_state(tmp_path / "run")["step"] == 18
    load_stainer(tmp_path / "run")
    with pytest.raises(RestainError, match="no H&E/IHC pairs"):
        run(data, tmp_path / "paired", fast)
