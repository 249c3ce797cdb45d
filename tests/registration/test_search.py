"""Whether two sections correlate where they are said to lie."""

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from restain.registration.search import peak_height


def _content(seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(160, 200))
    texture = gaussian_filter(noise, 2)
    return np.stack([texture / texture.std() * 0.1 + 0.5, np.full_like(texture, 0.9)]).astype(np.float32)


def test_one_section_stands_out_where_it_lies_and_nowhere_else():
    he = _content(0)
    ihc = np.stack([shift(one, (4.0, -7.0), mode="nearest") for one in he])
    there = np.array((-7.0, 4.0)) * 8.0  # microns
    assert peak_height(he, ihc, 8.0, lambda places: places + there) > 20
    assert peak_height(he, ihc, 8.0, lambda places: places + there + (160.0, 0.0)) < 5
    assert peak_height(he, _content(1), 8.0, lambda places: places) < 5


def test_sections_that_do_not_overlap_have_no_peak():
    assert peak_height(_content(0), _content(0), 8.0, lambda places: places + 1e5) == 0
