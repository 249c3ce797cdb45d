"""The seam score on images whose seams are known."""

import numpy as np
import pytest

from restain.images import RGB
from restain.slides.seamless.seam_score import SeamMeter, SeamScore


def _noise(height: int, width: int, seed: int = 0) -> RGB:
    return np.random.default_rng(seed).integers(60, 180, (height, width, 3), dtype=np.uint8)


def _score(image: RGB, tile: int, skip: tuple[tuple[int, int], ...] = ()) -> SeamScore | None:
    meter = SeamMeter()
    for row, y in enumerate(range(0, image.shape[0], tile)):
        band = [image[y : y + tile, x : x + tile] for x in range(0, image.shape[1], tile)]
        meter.add_band([None if (row, column) in skip else part for column, part in enumerate(band)])
    return meter.score()


def test_an_image_without_seams_scores_one() -> None:
    score = _score(_noise(512, 512), 128)
    assert score is not None and score.borders == 2 * 4 * 3
    assert score.score == pytest.approx(1, abs=0.02)
    assert abs(score.excess) < 1
    assert score.jump == pytest.approx(score.jump_beside, abs=2)


def test_a_ramp_has_steps_but_no_jump() -> None:
    ramp = np.broadcast_to(np.arange(240, dtype=np.uint8)[None, :, None], (120, 240, 3))
    score = _score(ramp, 120)
    assert score is not None
    assert (score.borders, score.step, score.step_beside) == (1, 1, 1)
    assert (score.score, score.excess, score.jump, score.worst_jump) == (1, 0, 0, 0)


def test_a_jump_of_known_height_is_found_under_texture() -> None:
    image = _noise(512, 512)
    image[:, 256:] += 20
    score = _score(image, 256)
    assert score is not None and score.borders == 4
    assert score.worst_jump == pytest.approx(20, abs=7)  # noise of 35 grey levels, averaged over 256 pixels
    assert score.jump == pytest.approx(10, abs=5)  # two of the four borders jump


def test_flat_tiles_of_two_colours_have_no_texture_to_compare_with() -> None:
    image = np.full((64, 128, 3), 100, dtype=np.uint8)
    image[:, 64:] = 103
    score = _score(image, 64)
    assert score is not None
    assert (score.step, score.step_beside, score.score, score.jump) == (3, 0, None, 3)


def test_a_pattern_of_the_networks_lattice_is_no_seam() -> None:
    image = np.full((256, 256, 3), 100, dtype=np.uint8)
    image[::4] += 10
    image[:, ::4] += 10
    score = _score(image, 64)
    assert score is not None and score.score == 1 and score.jump == 0


def test_glass_and_narrow_tiles_are_not_measured() -> None:
    image = _noise(128, 128)
    everything = _score(image, 64)
    assert everything is not None and everything.borders == 4
    beside_glass = _score(image, 64, skip=((0, 0),))
    assert beside_glass is not None and beside_glass.borders == 2
    assert _score(image, 64, skip=((0, 0), (1, 1))) is None
    assert _score(_noise(64, 72), 64) is None  # the second tile is 8 pixels wide


def test_memory_does_not_grow_with_the_bands() -> None:
    meter = SeamMeter()
    for seed in range(4):
        meter.add_band([_noise(64, 64, seed)] * 3)
    assert sum(part.size for part in meter._above if part is not None) == 3 * 9 * 64 * 3
