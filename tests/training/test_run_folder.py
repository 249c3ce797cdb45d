"""The run folder: grids and maps as they are meant to be read, and what its small files say."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restain.data.layouts import find_pairs
from restain.errors import RestainError
from restain.run_folder import RunFolder, git_state
from restain.training.previews import Previews, find_previews


def test_previews_are_held_out_centre_crops(pairs: Path) -> None:
    previews = find_previews(find_pairs(pairs), count=4, side=20)
    assert previews is not None
    assert previews.ids == ["s0_0_0", "s1_0_1"]
    whole = np.asarray(Image.open(pairs / "valA" / "s1_0_1.png"))
    np.testing.assert_allclose(
        (previews.source[1].permute(1, 2, 0).numpy() + 1) * 127.5, whole[14:34, 14:34], atol=1e-3
    )


def test_a_grid_has_a_row_per_field_and_a_column_per_stain(tmp_path: Path) -> None:
    levels = torch.tensor([-1.0, 0.0, 1.0])
    images = [level.expand(2, 3, 10, 12) for level in levels]
    Previews(["a", "b"], images[0], images[2]).write_grid(tmp_path / "grid.png", images[1])
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (2 * 14, 3 * 16, 3)
    assert [grid[5, 16 * column + 5, 0] for column in range(3)] == [0, 128, 255]
    assert grid[12, 5, 0] == 255


def test_attention_is_brightest_where_it_is_largest(tmp_path: Path) -> None:
    attention = torch.tensor([[[0.1, 0.2], [0.3, 0.4]]])
    previews = Previews(["slide/one"], torch.zeros(1, 3, 8, 8), torch.zeros(1, 3, 8, 8))
    previews.write_maps(tmp_path, {"layer04": attention})
    found = np.asarray(Image.open(tmp_path / "slide_one-layer04.png"))
    np.testing.assert_array_equal(found, [[64, 128], [191, 255]])
    assert (tmp_path / "slide_one-ihc.png").exists()
    previews.write_maps(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_git_state_is_that_of_a_checkout_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "file").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    state = git_state(tmp_path)
    assert state is not None and (state.commit, state.dirty) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (tmp_path / "inside" / "file").write_text("2")
    state = git_state(tmp_path)
    assert state is not None and state.dirty
    assert git_state(tmp_path / "inside") is None  # a package that is installed in somebody else's checkout
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None  # no git at all


def test_sessions_are_read_back_in_order_and_other_files_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_environment().sessions == ()
    for step in (0, 40):
        folder.add_session(first_step=step, device="CPU", processes=2, torch="2.9", threads=3)
    sessions = folder.read_environment().sessions
    assert [(s.first_step, s.processes, s.threads) for s in sessions] == [(0, 2, 3), (40, 2, 3)]
    own = Path(git_state.__code__.co_filename).parents[2]
    assert sessions[0].git == git_state(own)
    listed = json.loads(folder.environment.read_text())
    listed["sessions"][1]["processes"] = "many"
    for text, words in ((json.dumps(listed), r"sessions\.1\.processes"), ("[", "Expecting value"), ("{}", "sessions")):
        folder.environment.write_text(text)
        with pytest.raises(
            RestainError, match=rf"environment\.json: does not list the sessions of a run.*{words}|{words}"
        ):
            folder.read_environment()
