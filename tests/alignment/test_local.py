import numpy as np
from scipy.ndimage import map_coordinates

from restain.alignment.local import align_locally
from restain.phantoms.dots import draw_sections


def _field(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """H&E and IHC of one section, 320 pixels of its middle, where 30 % of the nuclei differ."""
    made = draw_sections(seed, size=(1000.0, 900.0), he_mpp=1.2, ihc_mpp=1.2, warp=0.0)
    half = np.array((160, 160))
    y, x = np.array(made.he.shape[:2]) // 2 - half
    v, u = np.rint(made.to_ihc(np.array([[x, y]]) * 1.2)[0, ::-1] / 1.2).astype(int)
    return made.he[y : y + 320, x : x + 320], made.ihc[v : v + 320, u : u + 320]


def test_a_warped_field_is_brought_back():
    he, ihc = _field(1)
    y, x = np.mgrid[:320, :320].astype(float)
    dy, dx = 5 + 4 * np.sin(x / 60), -6 + 4 * np.cos(y / 70)
    planes = [map_coordinates(ihc[..., c].astype(float), (y + dy, x + dx), order=1, mode="mirror") for c in range(3)]
    warped = np.rint(np.stack(planes, axis=-1)).astype(np.uint8)
    found = align_locally(he, warped)
    assert found is not None
    rows, columns = found.source_places((320, 320))
    # The warped picture at (rows, columns) shows what the IHC shows at (y, x): rows + dy(rows, columns) = y.
    inner = np.s_[40:-40, 40:-40]
    off = np.hypot(rows + 5 + 4 * np.sin(columns / 60) - y, columns - 6 + 4 * np.cos(rows / 70) - x)[inner]
    assert np.median(off) < 1.5
    assert found.confidence > 0.5
    moved, covered = found.warp(warped)
    true = ihc.astype(float)[inner]
    assert np.abs(moved[inner] - true).mean() < 0.6 * np.abs(warped[inner] - true).mean()
    assert 0.9 < covered < 1


def test_wrong_partners_are_not_believed():
    found = align_locally(_field(1)[0], _field(2)[1])
    assert found is None or found.confidence < 0.25


def test_glass_gives_nothing():
    he, _ = _field(1)
    assert align_locally(he, np.full_like(he, 240)) is None
    assert align_locally(he[:100, :100], he[:100, :100]) is None
