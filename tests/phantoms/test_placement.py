import numpy as np

from restain.phantoms.placement import Placement, draw_slides
from restain.stains import DAB, EOSIN, HEMATOXYLIN, separate


def _placement(**changes) -> Placement:
    values = {"angle": 0.0, "mirrored": False, "centre": (100.0, 80.0), "target": (100.0, 80.0)}
    return Placement(**values | {"warp": 0.0, "scale": 200.0, "key": 1, "mpp": 1.0} | changes)


def test_there_and_back():
    placement = _placement(angle=73.0, mirrored=True, target=(140.0, 150.0), warp=12.0)
    points = np.random.default_rng(0).uniform(0, 200, (50, 2))
    np.testing.assert_allclose(placement.to_he(placement.to_ihc(points)), points, atol=1e-3)


def test_a_quarter_turn_is_the_turned_picture():
    """Without warp and turnover the IHC turned by 90 degrees is the straight one, turned, except for noise."""
    size = (160.0, 160.0)
    straight = draw_slides("er", 4, size, 1.0, _placement(centre=(79.5, 79.5), target=(80.0, 80.0)), 0.0)
    turned = draw_slides("er", 4, size, 1.0, _placement(centre=(79.5, 79.5), target=(80.0, 80.0), angle=90.0), 0.0)
    np.testing.assert_array_equal(straight[0], turned[0])
    inner = np.s_[20:140, 20:140]
    shifted = [
        np.abs(np.roll(np.rot90(turned[1]).astype(float), (dy, dx), (0, 1))[inner] - straight[1][inner]).mean()
        for dy in (-1, 0, 1)
        for dx in (-1, 0, 1)
    ]
    assert min(shifted) < 4
    assert min(shifted) < 0.5 * max(shifted)


def test_both_stains_show_the_same_nuclei():
    he, ihc = draw_slides("her2", 6, (200.0, 160.0), 1.0, _placement(), 0.0)
    assert he.shape == ihc.shape == (160, 200, 3)
    pair = separate(he, HEMATOXYLIN, EOSIN)[..., 0].ravel(), separate(ihc, HEMATOXYLIN, DAB)[..., 0].ravel()
    assert np.corrcoef(*pair)[0, 1] > 0.5
