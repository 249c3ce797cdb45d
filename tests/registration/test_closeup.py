"""Blocks of two slides, matched one by one."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from small_slides import write_slide

from restain.alignment.fitting import Affine
from restain.registration.closeup import Scale, match_closely
from restain.registration.transform import Transform
from restain.stains import HEMATOXYLIN
from restain.wsi.reader import open_slide

MPP = 2.0


def _island(left: int, top: int) -> np.ndarray:
    """Haematoxylin on 70 x 70 pixels, glass around it."""
    texture = gaussian_filter(np.random.default_rng(0).normal(size=(70, 70)), 2)
    density = np.zeros((300, 300))
    density[top : top + 70, left : left + 70] = 0.6 + 0.3 * texture / texture.std()
    return np.rint(255 * 10 ** -(np.clip(density, 0, None)[..., None] * HEMATOXYLIN)).astype(np.uint8)


def test_a_block_of_tissue_is_matched_though_glass_is_all_around(tmp_path: Path) -> None:
    he = write_slide(tmp_path / "he.tif", _island(115, 115), MPP)
    ihc = write_slide(tmp_path / "ihc.tif", _island(119, 112), MPP)
    with open_slide(he) as near, open_slide(ihc) as far:
        place = np.array([[150.0, 150.0]]) * MPP
        still, scale = Transform(Affine.identity(), Affine.identity()), Scale(MPP, 64, 12, 1)
        found = match_closely(near, far, still, place, scale, 1)
        glass = match_closely(near, far, still, place / 3, scale, 1)
    assert found.shifts[0] == pytest.approx([4 * MPP, -3 * MPP], abs=0.5)
    assert found.agree.all() and not glass.agree.any()
