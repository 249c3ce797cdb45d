"""What ends a run before its end, and that every process hears of it."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from running import CPU, call, command, kept_steps, logged_steps, run, scripted
from small import write_pairs

from restain.errors import RestainError
from restain.methods.base import Step
from restain.methods.contrastive import ContrastiveMethod
from restain.training.distributed import Machine
from restain.training.optimizers import Optimizers
from restain.training.session import train

POISONED = """
import torch
from restain.methods.contrastive import ContrastiveMethod

usual, calls = ContrastiveMethod.loss, []

def poisoned(self, phase, *arguments):
    step = usual(self, phase, *arguments)
    calls.append(phase.name)
    if calls.count("generator") == 7 and phase.name == "generator":
        step.terms["a2sp"] = torch.tensor(float("nan"))
    return step

ContrastiveMethod.loss = poisoned
"""


def test_a_loss_that_is_not_finite_stops_the_run_by_name(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ContrastiveMethod, "loss", ContrastiveMethod.loss)  # is put back at the end
    exec(POISONED, {})
    out = tmp_path / "run"
    with pytest.raises(RestainError, match=r"loss term a2sp is nan at step 7; .*nonfinite.*last good checkpoint"):
        run(pairs, out, fast)
    assert kept_steps(out / "checkpoints") == [4]
    assert kept_steps(out / "nonfinite") == [8]
    assert logged_steps(out) == [2, 4, 6]


def test_two_processes_stop_together_where_a_loss_is_not_finite(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    line = command(pairs, out, (*fast, "optim.epochs=5"), "--devices", "2")
    done = call(scripted(line, tmp_path / "poisoned.py", POISONED))
    assert done.returncode == 2, done.stderr[-2000:]
    assert "loss term a2sp is nan at step 7" in done.stderr and "Traceback" not in done.stderr
    assert kept_steps(out / "checkpoints") == [4]
    assert kept_steps(out / "nonfinite") == [8]


@pytest.mark.parametrize("hook", ["log.checkpoint=4", "validation.every=8"])
def test_weights_that_are_not_finite_are_no_checkpoint_and_not_the_best(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: str
) -> None:
    usual, calls = Optimizers.step, []

    def poisoned(self: Optimizers, phase: Any) -> None:
        calls.append(phase.name)
        if calls.count("generator") == 8:  # its losses are finite; those of the next step will not be
            self.adams["generator"].param_groups[0]["params"][0].grad.fill_(float("inf"))
        usual(self, phase)

    monkeypatch.setattr(Optimizers, "step", poisoned)
    out = tmp_path / "run"
    with pytest.raises(RestainError, match=r"the generator has weights that are not finite at step 8; .*00000004\.pt"):
        run(pairs, out, fast, hook)
    assert kept_steps(out / "checkpoints") == [4]
    assert not (out / "checkpoints" / "best.pt").exists()


def test_an_error_of_any_kind_ends_the_process_and_its_workers(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    # Python waits at exit for workers that were told to end by one SIGTERM, and that is one they live through.
    code = (
        "from restain.methods.contrastive import ContrastiveMethod\n"
        "ContrastiveMethod.after_step = lambda *arguments: {}['unforeseen']"
    )
    line = command(pairs, tmp_path / "run", (*fast, "engine.workers=2"))
    done = call(scripted(line, tmp_path / "broken.py", code), timeout=120)
    assert done.returncode == 1 and "KeyError: 'unforeseen'" in done.stderr


def test_out_of_memory_names_the_settings(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> Step:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ContrastiveMethod, "forward_pass", full)
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


def test_an_image_that_one_of_two_processes_cannot_read_ends_both(fast: tuple[str, ...], tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", val=0)
    broken = data / "trainA" / "s5_0_5.png"
    broken.write_bytes(broken.read_bytes()[:200])
    done = call(command(data, tmp_path / "run", fast, "--devices", "2"), timeout=180)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr[-3000:]
    assert done.stderr.count(str(broken)) == 1
    assert done.stderr.count("another process could not read an image; its message names the file") == 1


def test_a_device_that_is_not_there_is_refused(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(RestainError, match="expected auto, cpu, cuda or mps"):
        train(pairs, tmp_path / "run", "tiny", overrides=fast, machine=Machine(device="tpu"))
    if not torch.cuda.is_available():
        with pytest.raises(RestainError, match="sees no CUDA device"):
            train(pairs, tmp_path / "run", "tiny", overrides=fast, machine=Machine(device="cuda"))


def test_counts_of_processes_that_cannot_be_are_refused(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RestainError, match="devices is 0; expected at least 1"):
        train(pairs, tmp_path / "run", "tiny", overrides=fast, machine=Machine(device="cpu", devices=0))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "any")  # as torchrun does
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RestainError, match="torchrun started 2 processes, but devices is 1 and nodes 1"):
        run(pairs, tmp_path / "run", fast)
    assert not (tmp_path / "run").exists()


def test_a_second_training_in_the_same_folder_is_refused(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, usual, messages = tmp_path / "run", ContrastiveMethod.after_step, []

    def after_step(self: ContrastiveMethod, *arguments: Any) -> None:
        usual(self, *arguments)
        if not messages:
            start = time.monotonic()
            with pytest.raises(RestainError) as error:
                train(pairs, out, overrides=fast, resume=True, machine=CPU)
            assert time.monotonic() - start < 10
            messages.append(str(error.value))

    monkeypatch.setattr(ContrastiveMethod, "after_step", after_step)
    run(pairs, out, fast)
    assert messages == [f"{out}: another process is training in this folder; wait for it or stop it"]
    run(pairs, out, fast, resume=True)  # the first one has let go of it
