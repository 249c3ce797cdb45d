"""The held-out fields of every layout as folders."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarking.conftest import NARROW
from small import write_pairs

from restain.benchmarking.budget import Budget
from restain.benchmarking.held_out import held_out_folders
from restain.benchmarking.plan import Contender, Plan
from restain.errors import RestainError
from restain.images import read_rgb, write_png


def plan_for(data: Path, out: Path, *overrides: str, truth: str | None = None) -> Plan:
    return Plan(
        data=data,
        out=out,
        contenders=(Contender(name="pix2pix-small", recipe="pix2pix-small"),),
        seeds=(0,),
        budget=Budget(4, "steps"),
        batch=1,
        small=False,
        overrides=(*NARROW, *overrides),
        split="val",
        truth=truth,
        protocol="clean",
        metrics=(),
        groups="auto",
        compare_with=None,
        device="cpu",
    )


def test_results_are_read_and_drawn_without_torch() -> None:
    modules = ("comparison_page", "field_sheet", "held_out", "result_tables", "bench_verb")
    code = (
        "".join(f"import restain.benchmarking.{name}\n" for name in modules)
        + "import sys; print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_folders_of_a_data_set_are_taken_as_they_are(fields: Path, tmp_path: Path) -> None:
    found = held_out_folders(plan_for(fields, tmp_path / "out"))
    assert (found.source, found.real, found.reference) == (fields / "valA", fields / "valB", fields / "trainB")
    assert not (tmp_path / "out").exists()


def test_fields_without_a_partner_and_files_of_a_table_are_linked_under_their_ids(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", train=2, val=3)
    (data / "valB" / "s1_0_1.png").unlink()
    found = held_out_folders(plan_for(data, tmp_path / "out"))
    assert found.real == data / "valB" and found.source.is_relative_to(tmp_path / "out")
    assert sorted(path.name for path in found.source.iterdir()) == ["s0_0_0.png", "s2_0_2.png"]
    assert all(path.is_symlink() for path in found.source.iterdir())
    rows = [f"case/{n},valA/s{n}_0_{n}.png,valB/s{n}_0_{n}.png,val" for n in (0, 2)]
    rows += [f"t{n},trainA/s{n}_0_{n}.png,trainB/s{n}_0_{n}.png,train" for n in range(2)]
    (data / "manifest.csv").write_text("id,source,target,split\n" + "\n".join(rows))
    found = held_out_folders(plan_for(data, tmp_path / "table"))
    assert sorted(path.name for path in (found.real / "case").iterdir()) == ["0.png", "2.png"]
    assert np.array_equal(read_rgb(found.real / "case" / "2.png"), read_rgb(data / "valB" / "s2_0_2.png"))


def test_halves_are_written_out_without_loss(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        write_png(tmp_path / "data" / split / "f.png", rng.integers(0, 256, (48, 96, 3), dtype=np.uint8))
    whole = read_rgb(tmp_path / "data" / "val" / "f.png")
    found = held_out_folders(plan_for(tmp_path / "data", tmp_path / "out"))
    assert np.array_equal(read_rgb(found.source / "f.png"), whole[:, :48])
    assert np.array_equal(read_rgb(found.real / "f.png"), whole[:, 48:])


def test_the_truth_can_be_another_stain_of_the_same_fields(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", train=2, val=3)
    for split in ("train", "val"):
        for path in list((data / f"{split}B").iterdir()):
            write_png(data / f"{split}B_weak" / path.name, 255 - read_rgb(path))
    found = held_out_folders(plan_for(data, tmp_path / "out", "data.target=B_weak", truth="B"))
    assert found.real == data / "valB" and found.reference == data / "trainB_weak"
    (data / "valB" / "s1_0_1.png").unlink()
    with pytest.raises(RestainError, match=r"truth B: has no image of s1_0_1 \(1 of 3 fields\)"):
        held_out_folders(plan_for(data, tmp_path / "out", "data.target=B_weak", truth="B"))


def test_links_are_those_of_the_truth_that_is_asked_for(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", train=2, val=3)
    shutil.copytree(data / "valB", data / "valB_weak")
    (data / "valA" / "s1_0_1.png").unlink()  # so that valB holds more than the pairs, and links are needed
    for truth in ("B", "B_weak", "B"):
        real = held_out_folders(plan_for(data, tmp_path / "out", truth=truth)).real
        assert (real / "s0_0_0.png").resolve() == (data / f"val{truth}" / "s0_0_0.png").resolve()
