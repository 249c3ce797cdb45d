"""The run folder: grids and maps as they are meant to be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from restain.training.run_folder import Previews, find_previews, git_state

from restain.data.layouts import find_pairs


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
    previews.write_attention(tmp_path, {4: attention})
    found = np.asarray(Image.open(tmp_path / "slide_one-layer04.png"))
    np.testing.assert_array_equal(found, [[64, 128], [191, 255]])
    assert (tmp_path / "slide_one-ihc.png").exists()
    previews.write_attention(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()


def test_git_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git_state(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert git_state(Path(__file__).parent) is None  # no git at all
