"""The same step, divided over micro-batches or processes: the same losses, and the same weights up to rounding."""

import sys
from pathlib import Path

import pytest
import torch
from running import (
    CLOSE,
    FAR,
    UNNORMED,
    call,
    command,
    first_terms,
    last_state,
    logged_steps,
    relative_difference,
    run,
    scripted,
)
from small import SMALL_NETWORKS

from restain.methods.base import has_graph, without_graph
from restain.methods.contrastive import ContrastivePass
from restain.stainer_files import load_stainer

MOVING = ("gan.mode=vanilla", "diffusion.target=-1", "diffusion.ramp_kimg=0.05")  # a horizon that leaves its start soon
CYCLE = (
    *SMALL_NETWORKS["resnet"],
    *SMALL_NETWORKS["cycle"],
    "cycle.pool=10",  # not all of whose first images are replaced within the run
    "optim.steps=6",
    "log.every=1",
    "log.trackers=[]",
    "validation.every=0",
)


def test_two_micro_batches_are_one_batch_of_two(pairs: Path, fast: tuple[str, ...], tmp_path: Path) -> None:
    sets = (*fast, *UNNORMED, *MOVING)
    run(pairs, tmp_path / "batch", sets, "optim.batch=2")
    run(pairs, tmp_path / "accumulate", sets, "optim.accumulate=2")
    run(pairs, tmp_path / "other", sets, "optim.batch=2", "seed=1")
    assert relative_difference(tmp_path / "batch", tmp_path / "accumulate") < CLOSE
    assert relative_difference(tmp_path / "batch", tmp_path / "other") > FAR
    assert first_terms(tmp_path / "batch") == pytest.approx(first_terms(tmp_path / "accumulate"), rel=1e-4)
    horizons = [last_state(tmp_path / name)["method"]["adversarial.horizon.p"] for name in ("batch", "accumulate")]
    assert horizons[0] == horizons[1] > 0.1


def test_discriminators_that_follow_their_generators_see_the_same_images_however_a_step_is_divided(
    pairs: Path, tmp_path: Path
) -> None:
    # The images that the discriminators and the pools get were made before the generators' step.
    run(pairs, tmp_path / "batch", CYCLE, "optim.batch=2", recipe="cyclegan")
    run(pairs, tmp_path / "accumulate", CYCLE, "optim.accumulate=2", recipe="cyclegan")
    assert first_terms(tmp_path / "batch") == pytest.approx(first_terms(tmp_path / "accumulate"), rel=1e-4)
    assert relative_difference(tmp_path / "batch", tmp_path / "accumulate") < CLOSE
    pools_are_close(tmp_path / "batch", tmp_path / "accumulate")


def pools_are_close(first: Path, second: Path) -> None:
    a, b = (last_state(out)["method"] for out in (first, second))
    for stain in ("ihc", "he"):
        assert a[f"pools.{stain}.count"] == b[f"pools.{stain}.count"] == 10
        kept, other = a[f"pools.{stain}.images"], b[f"pools.{stain}.images"]
        assert (kept - other).abs().mean() < 0.01 < 0.1 < (kept - other.roll(1, 0)).abs().mean()


PERTURBED = """
import torch
from restain.methods.contrastive import ContrastiveMethod

usual = ContrastiveMethod.__init__

def perturbed(self, *arguments):
    usual(self, *arguments)
    if torch.distributed.get_rank():
        with torch.no_grad():
            for tensor in (*self.parameters(), *self.buffers()):
                tensor.fill_(0.3)

ContrastiveMethod.__init__ = perturbed
"""


def test_two_processes_are_one_with_a_batch_of_two_whatever_weights_the_second_one_starts_with(
    pairs: Path, fast: tuple[str, ...], tmp_path: Path
) -> None:
    sets = (*fast, *UNNORMED, *MOVING)
    run(pairs, tmp_path / "one", sets, "optim.batch=2")
    line = command(pairs, tmp_path / "two", (*sets, "engine.channels_last=true"), "--devices", "2")
    done = call(scripted(line, tmp_path / "perturbed.py", PERTURBED))
    assert done.returncode == 0, done.stderr[-2000:]
    assert relative_difference(tmp_path / "one", tmp_path / "two") < CLOSE
    assert first_terms(tmp_path / "one") == pytest.approx(first_terms(tmp_path / "two"), rel=1e-4)
    states = [last_state(tmp_path / name) for name in ("one", "two")]
    assert states[0]["method"]["adversarial.horizon.p"] == states[1]["method"]["adversarial.horizon.p"] > 0.1
    assert states[0]["images_per_step"] == states[1]["images_per_step"] == 2
    assert logged_steps(tmp_path / "two") == logged_steps(tmp_path / "one")
    load_stainer(tmp_path / "two")


def test_two_processes_of_torchrun_that_accumulate_fill_the_pools_as_one_does(pairs: Path, tmp_path: Path) -> None:
    run(pairs, tmp_path / "one", CYCLE, "optim.batch=4", recipe="cyclegan")
    line = command(pairs, tmp_path / "two", (*CYCLE, "optim.accumulate=2"), "--devices", "2", recipe="cyclegan")
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *line[1:]]
    done = call(line)
    assert done.returncode == 0, done.stderr[-2000:]
    assert relative_difference(tmp_path / "one", tmp_path / "two") < CLOSE
    assert first_terms(tmp_path / "one") == pytest.approx(first_terms(tmp_path / "two"), rel=1e-4)
    pools_are_close(tmp_path / "one", tmp_path / "two")


def test_a_pass_is_cut_off_from_its_graph_in_every_part() -> None:
    image = torch.ones(1, 3, 4, 4, requires_grad=True)
    shared = ContrastivePass(image * 2, [image * 3, image * 4], torch.tensor([True]))
    assert has_graph(shared)
    cut = without_graph(shared)
    assert not has_graph(cut)
    assert (cut.identity is None and cut.mirrored is shared.mirrored) or torch.equal(cut.mirrored, shared.mirrored)
    assert torch.equal(cut.fake, image * 2) and torch.equal(cut.features[1], image * 4)
