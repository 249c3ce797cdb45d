"""Stop a run anywhere, take it up again: the same bits; and what may not change in between."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from running import (
    CLOSE,
    UNNORMED,
    WHOLE,
    call,
    command,
    environment,
    equal,
    interrupt_after,
    last_state,
    log,
    logged_steps,
    relative_difference,
    run,
)
from safetensors.torch import load_file
from small import write_pairs

from restain.errors import RestainError
from restain.training.checkpoint import checkpoints, load_checkpoint

STATE = ("step", "method", "optimizers", "average", "data", "best")
LINES = sorted({*range(2, 19, 2), 5, 15})  # a line every 2 steps, and before each validation


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_in_an_epoch_resumes_to_the_same_bits(
    pairs: Path, fast: tuple[str, ...], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    out = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 10)  # two steps past the checkpoint at 8, in the second epoch
        run(pairs, out, fast, *WHOLE)
    assert last_state(out)["step"] == 8
    torch.rand(5)  # whatever else the process draws must not matter
    run(pairs, out, fast, *WHOLE, f"engine.workers={workers}", resume=True)
    expected, found = last_state(whole), last_state(out)
    for part in STATE:
        assert equal(found[part], expected[part]), part
    assert equal(*(load_file(root / "stainer" / "model.safetensors") for root in (out, whole)))
    assert logged_steps(out) == logged_steps(whole) == LINES
    assert log(out, "validation") == log(whole, "validation")
    assert equal(*(load_checkpoint(root / "checkpoints" / "best.pt")["method"] for root in (out, whole)))


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
    sets = (*fast, *WHOLE)
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
    for part in STATE:
        assert equal(found[part], expected[part]), part
    steps = logged_steps(out)
    assert steps == sorted(set(steps)) and set(steps) == {*LINES, *([step] if how != signal.SIGKILL else [])}
    assert log(out, "validation") == log(whole, "validation")
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


def test_dropout_resumes_to_the_same_bits_and_follows_the_seed(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = (*fast, "generator.dropout=true")
    torch.manual_seed(1)
    run(pairs, tmp_path / "whole", sets)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 10)
        run(pairs, tmp_path / "parts", sets)
    assert torch.equal(torch.get_rng_state(), before)  # the generator of whoever calls is left alone
    run(pairs, tmp_path / "parts", sets, resume=True)
    run(pairs, tmp_path / "without", fast)
    states = {name: last_state(tmp_path / name)["method"] for name in ("whole", "parts", "without")}
    assert equal(states["whole"], states["parts"])
    assert not equal(states["whole"], states["without"])


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
    with pytest.raises(RestainError, match=r"was made with 1 images per step over all processes, now 2"):
        run(pairs, out, fast, "optim.accumulate=2", resume=True)
    run(pairs, out, fast, "log.every=3", "engine.workers=1", resume=True)  # these two may change


def test_a_resumed_run_may_divide_its_steps_otherwise(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("whole", "run"):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            interrupt_after(patch, 6)
            run(pairs, tmp_path / name, (*fast, *UNNORMED), "optim.batch=2")
    run(pairs, tmp_path / "whole", (*fast, *UNNORMED), "optim.batch=2", resume=True)
    run(pairs, tmp_path / "run", (*fast, *UNNORMED), "optim.accumulate=2", resume=True)
    assert relative_difference(tmp_path / "whole", tmp_path / "run") < CLOSE


def test_resume_refuses_another_number_of_processes(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path / "run", fast)
    done = call(command(pairs, tmp_path / "run", fast, "--devices", "2", "--resume"))
    assert done.returncode == 2
    assert "was made with 1 images per step over all processes, now 2" in done.stderr


def test_what_was_logged_before_an_interruption_is_on_disk(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_after(patch, 5)
        run(pairs, tmp_path / "run", fast, "log.trackers=[tensorboard]", "validation.every=3")
    events = EventAccumulator(str(tmp_path / "run" / "logs" / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("generator")] == logged_steps(tmp_path / "run") == [2, 3, 4]
    assert [event.step for event in events.Scalars("val/ssim")] == logged_steps(tmp_path / "run", "validation") == [3]


def test_resume_without_a_checkpoint_starts_afresh(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    run(pairs, tmp_path / "run", fast, "optim.epochs=1", "optim.decay_epochs=0", resume=True)
    assert last_state(tmp_path / "run")["step"] == 6
