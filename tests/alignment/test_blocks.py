import numpy as np
from scipy.ndimage import gaussian_filter, shift

from restain.alignment.blocks import block_corners, is_glass, match_blocks
from restain.alignment.fitting import Affine, agreeing, choose_field, fit_motion


def _texture(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(2, 160, 200))
    return np.stack([gaussian_filter(one, 2) - gaussian_filter(one, 6) for one in noise]).astype(np.float32)


def test_blocks_find_a_shift_to_a_fraction_of_a_pixel():
    """Moving content at place + shift looks like fixed at place, x before y."""
    fixed = _texture(0)
    moving = np.stack([shift(one, (-3.5, 6.25), order=3) for one in fixed])
    matches = match_blocks(fixed, moving, block_corners((160, 200), 64, 32), 64, 12)
    inner = (matches.places[:, 0] < 150) & (matches.places[:, 1] > 45)
    np.testing.assert_allclose(matches.shifts[inner], [[6.25, -3.5]] * inner.sum(), atol=0.15)
    assert matches.scores[inner].min() > 0.9
    assert matches.margins[inner].min() > 0.3


def test_other_content_has_no_margin():
    matches = match_blocks(_texture(0), _texture(1), block_corners((160, 200), 64, 32), 64, 12)
    assert np.median(matches.margins) < 0.1


def test_blocks_cover_the_picture():
    corners = block_corners((100, 130), 40, 20)
    assert corners.min() == 0
    assert tuple(corners.max(axis=0)) == (90, 60)
    assert np.diff(np.unique(corners[:, 0])).max() <= 20


def test_a_third_of_wrong_matches_does_not_move_the_fit():
    rng = np.random.default_rng(2)
    places = rng.uniform(0, 1000, (90, 2))
    turn = np.radians(1.5)
    true = Affine(np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]), np.array([12.0, -7.0]))
    shifts = true.at(places) - places + rng.normal(0, 0.2, (90, 2))
    shifts[::3] = rng.uniform(-60, 60, (30, 2))
    for motion in ("rigid", "affine"):
        found = fit_motion(places, shifts, np.ones(90), 1.0, motion)
        np.testing.assert_allclose(found.at(places), true.at(places), atol=0.6)
    assert (
        agreeing(places, shifts, 8.0, slack=0)[1::3].mean() > agreeing(places, shifts, 8.0, slack=0)[::3].mean() + 0.5
    )


def test_a_field_is_taken_where_it_foretells_and_not_on_noise():
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 1000, (120, 2))
    wave = 8 * np.stack([np.sin(places[:, 1] / 160), np.cos(places[:, 0] / 160)], axis=1)
    field, error = choose_field(places, wave + rng.normal(0, 0.3, (120, 2)), np.ones(120))
    assert field is not None
    assert error < 1.5
    assert np.median(np.hypot(*(field.at(places) - wave).T)) < 0.5
    noise, left = choose_field(places, rng.normal(0, 3, (120, 2)), np.ones(120))
    assert noise is None
    assert left > 3


def test_affine_maps_compose_and_invert():
    one = Affine(np.array([[1.0, 0.2], [-0.1, 0.9]]), np.array([3.0, 4.0]))
    two = Affine(np.array([[0.0, -1.0], [1.0, 0.0]]), np.array([-5.0, 1.0]))
    points = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(two.after(one).at(points), two.at(one.at(points)))
    np.testing.assert_allclose(one.inverse().at(one.at(points)), points)


def test_a_needle_biopsy_gets_no_field():
    places = np.stack([np.linspace(0, 1000, 40), np.full(40, 5.0)], axis=1)
    field, _ = choose_field(places, np.random.default_rng(0).normal(size=(40, 2)), np.ones(40))
    assert field is None


def test_on_a_slope_planes_tell_right_matches_from_wrong_ones():
    """Shifts that grow to one side differ from their neighbours' median there, not from their neighbours' plane."""
    x, y = np.meshgrid(np.arange(8.0), np.arange(6.0))
    places = np.stack([x.ravel(), y.ravel()], axis=1) * 50
    shifts = np.stack([places[:, 0] * 0.2, -places[:, 1] * 0.1], axis=1)
    wrong = np.zeros(len(places), bool)
    wrong[[5, 20, 33]] = True
    shifts[wrong] += (30.0, -25.0)
    np.testing.assert_array_equal(agreeing(places, shifts, 3.0, slack=0, planes=True), ~wrong)
    edge = places[:, 0] == places[:, 0].max()
    assert not agreeing(places, shifts, 3.0, slack=0)[edge & ~wrong].any()


def test_sparse_tissue_is_no_glass():
    rng = np.random.default_rng(0)
    glass = rng.normal(0.18, 0.03, (64, 64))
    assert is_glass(glass)
    sparse = glass.copy()
    sparse[::8] = 0.8
    assert sparse.mean() < 0.3 and not is_glass(sparse)
    assert not is_glass(np.full((64, 64), 0.95))
