import csv
from pathlib import Path

import numpy as np
import pytest

from restain.alignment.pictures import estimate_alignment
from restain.data.layouts import find_pairs
from restain.stains import DAB, EOSIN, HEMATOXYLIN, compose

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "hemit_ck"


def _nuclei(side: int, seed: int) -> np.ndarray:
    """(n, 2) centres in and around a square field."""
    return np.random.default_rng(seed).uniform(-40, side + 40, ((side + 80) ** 2 // 600, 2))


def _stain(centres: np.ndarray, side: int, second: tuple[float, ...], seed: int) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    nuclei = np.zeros((side, side), np.float32)
    for y, x in centres:
        top, left = int(max(y - 12, 0)), int(max(x - 12, 0))
        box = np.s_[top : top + 25, left : left + 25]
        nuclei[box] += np.exp(-((rows[box] - y) ** 2 + (columns[box] - x) ** 2) / 32)
    other = np.random.default_rng(seed).uniform(0.1, 0.4, (side // 16, side // 16)).repeat(16, 0).repeat(16, 1)
    light = compose(np.stack([nuclei.clip(0, 1), other], -1), (HEMATOXYLIN, second))
    return np.rint(255 * light).astype(np.uint8)


@pytest.mark.parametrize(
    ("side", "shift", "angle"), [(256, (7.0, -11.0), 0.0), (512, (-3.5, 5.25), 2.0), (1024, (20.0, 31.0), -1.0)]
)
def test_known_motion_is_found(side, shift, angle):
    ihc = _nuclei(side, 0)
    middle = (side - 1) / 2
    y, x = (ihc - middle).T
    turn = np.radians(angle)  # counter-clockwise on the screen, where y points down
    he = np.stack([y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)], 1) + middle + shift
    found = estimate_alignment(_stain(he, side, EOSIN, 1), _stain(ihc, side, DAB, 2))
    assert found is not None
    np.testing.assert_allclose((found.shift_y, found.shift_x), shift, atol=0.5 * max(1, side / 512))
    assert found.rotation == pytest.approx(angle, abs=0.15)
    assert found.confidence > 0.75
    inner = np.abs(ihc - middle).max(axis=1) < 3 / 8 * side  # where the blocks' middles lie
    assert found.displacement == pytest.approx(np.hypot(*(he - ihc)[inner].T).mean(), rel=0.1)


def test_unrelated_images_have_no_confidence():
    found = estimate_alignment(_stain(_nuclei(256, 0), 256, EOSIN, 1), _stain(_nuclei(256, 5), 256, DAB, 2))
    assert found is not None and found.confidence < 0.3


def test_nothing_to_see_gives_none():
    glass = np.full((128, 128, 3), 240, np.uint8)
    tissue = _stain(_nuclei(128, 0), 128, EOSIN, 1)
    assert estimate_alignment(glass, tissue) is None
    assert estimate_alignment(tissue, glass) is None
    assert estimate_alignment(tissue[:60], tissue[:60]) is None


@pytest.mark.skipif(not REAL.is_dir(), reason="shared/data/hemit_ck is not beside the checkout")
def test_real_tissue_with_a_known_motion():
    with (REAL / "valB_weak_truth.csv").open() as file:
        known = {row["stem"]: (float(row["shift_y_px"]), float(row["shift_x_px"])) for row in csv.DictReader(file)}
    errors = []
    for pair in find_pairs(REAL, "B_weak").pairs("val")[::4]:
        found = estimate_alignment(pair.source.read(), pair.target.read())
        assert found is not None
        errors.append(np.hypot(*np.subtract((found.shift_y, found.shift_x), known[pair.id])))
    assert np.median(errors) < 2.5
