"""How far H&E looks from other H&E, against the definition of the Mahalanobis distance."""

import numpy as np
import pytest
from pydantic import ValidationError

from restain.appearance import FAR, Appearance, AppearanceMeter, distance
from restain.images import RGB


def _crops(count: int, shift: tuple[float, float, float] = (0, 0, 0), seed: int = 0) -> list[RGB]:
    """Crops whose brightness varies much, and equally in all colours."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        level = rng.normal(170, 25)
        noise = rng.normal(0, rng.uniform(10, 30), (24, 24, 1)) + rng.normal(0, 3, (24, 24, 3))
        made.append(np.clip(level + noise + np.array(shift) + rng.normal(0, 2, 3), 0, 255).astype(np.uint8))
    return made


def _appearance(crops: list[RGB]) -> Appearance:
    meter = AppearanceMeter()
    for crop in crops:
        meter.add(crop)
    return meter.appearance()


def test_the_distance_is_mahalanobis() -> None:
    crops, others = _crops(200), _crops(200, (5, 0, -5), seed=1)
    values, found = (
        np.array([[*c.reshape(-1, 3).mean(0), *c.reshape(-1, 3).std(0)] for c in part]) for part in (crops, others)
    )
    difference = found.mean(0) - values.mean(0)
    inverse = np.linalg.inv(np.cov(values.T, bias=True) + np.eye(6))
    expected = np.sqrt(difference @ inverse @ difference / 6)
    assert distance(_appearance(crops), _appearance(others)) == pytest.approx(expected, rel=1e-3)


def test_a_cast_of_colour_counts_more_than_brightness_that_varies_anyway() -> None:
    stored = _appearance(_crops(200))
    same, brighter, cast = (_appearance(_crops(200, s, seed=1)) for s in ((0, 0, 0), (8, 8, 8), (12, 0, -12)))
    assert distance(stored, stored) == 0
    assert distance(stored, same) < distance(stored, brighter) < 1 < FAR < distance(stored, cast)


def test_tiles_lie_beside_each_other_and_a_small_image_is_one() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (50, 75, 3), dtype=np.uint8)
    tiled, by_hand, small = AppearanceMeter(), AppearanceMeter(), AppearanceMeter()
    tiled.add_tiles(image, 24)
    for top in (0, 24):
        for left in (0, 24, 48):
            by_hand.add(image[top : top + 24, left : left + 24])
    assert len(tiled) == 6 and tiled.appearance() == by_hand.appearance()
    small.add_tiles(image, 64)
    assert len(small) == 1 and small.appearance().covariance == ((0.0,) * 6,) * 6


def test_it_comes_back_from_json_and_nonsense_does_not() -> None:
    made = _appearance(_crops(20))
    assert Appearance.model_validate_json(made.model_dump_json(), strict=True) == made
    good = made.model_dump()
    for wrong in (
        {**good, "mean": good["mean"][:5]},
        {**good, "covariance": good["covariance"][:5]},
        {**good, "covariance": -np.eye(6)},
        {**good, "covariance": np.triu(np.ones((6, 6)))},
        {**good, "mean": [float("nan")] * 6},
    ):
        with pytest.raises(ValidationError):
            Appearance.model_validate({k: np.array(v).tolist() for k, v in wrong.items()})
