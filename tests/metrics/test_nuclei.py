import numpy as np
import pytest

from restain.errors import RestainError
from restain.metrics.cells.nuclei import find_nuclei
from restain.stains import DAB, HEMATOXYLIN, compose


def draw(centres, radius=7.0, haematoxylin=0.5, dab=0.0, size=(96, 128)):
    """Discs of the given optical densities on glass, 8-bit, with a soft edge of a pixel."""
    y, x = np.mgrid[: size[0], : size[1]]
    distance = np.min([np.hypot(y - cy, x - cx) for cy, cx in centres], axis=0) if centres else np.full(size, 1e3)
    inside = np.clip(radius + 0.5 - distance, 0, 1)
    light = compose(np.stack([haematoxylin * inside, dab * inside], axis=-1), [HEMATOXYLIN, DAB])
    return np.round(255 * light).astype(np.uint8)


GRID = [(y, x) for y in (16, 48, 80) for x in (16, 48, 80, 112)]


@pytest.mark.parametrize("stain", [{"haematoxylin": 0.5}, {"haematoxylin": 0.2}, {"haematoxylin": 0.1, "dab": 0.9}])
def test_separate_nuclei_are_found_where_they_are(stain):
    found = find_nuclei(draw(GRID, **stain))
    assert found.count == len(GRID)
    assert {int(found.labels[place]) for place in GRID} == set(range(1, 13))
    area = np.bincount(found.labels.ravel())[1:]
    assert area == pytest.approx(np.pi * 7.5**2, rel=0.2)


def test_pale_nuclei_are_found_beside_black_ones():
    image = draw(GRID[:6], haematoxylin=0.3, dab=1.2)
    pale = draw(GRID[6:], haematoxylin=0.25)
    assert find_nuclei(np.minimum(image, pale)).count == len(GRID)


def test_touching_nuclei_are_cut_apart():
    found = find_nuclei(draw([(40, 40), (40, 53), (40, 66)]))
    assert found.count == 3
    assert len({int(found.labels[40, x]) for x in (40, 53, 66)}) == 3


def test_a_membrane_stain_is_not_a_nucleus():
    y, x = np.mgrid[:96, :128]
    nearest = np.min([np.hypot(y - cy, x - cx) for cy, cx in GRID], axis=0)
    ring = np.exp(-((nearest - 13) ** 2) / 4)
    blue = 0.4 * np.clip(7.5 - nearest, 0, 1)
    image = np.round(255 * compose(np.stack([blue, 0.9 * ring], -1), [HEMATOXYLIN, DAB])).astype(np.uint8)
    found = find_nuclei(image, marker="membrane")
    assert found.count == len(GRID)
    assert {int(found.labels[place]) for place in GRID} == set(range(1, 13))


def test_size_is_judged_in_microns():
    small = draw(GRID, radius=1.9)  # 25 pixels once smoothed: 6 µm² at 0.5 µm per pixel, 25 at 1
    assert find_nuclei(small, mpp=0.5).count == 0
    assert find_nuclei(small, mpp=1.0).count == len(GRID)
    assert find_nuclei(draw([(48, 64)], radius=30.0), mpp=0.5).count == 0  # 700 µm²


def test_glass_has_no_nuclei():
    assert find_nuclei(np.full((64, 64, 3), 255, np.uint8)).count == 0
    noise = np.random.default_rng(0).normal(247, 2, (128, 128, 3)).astype(np.uint8)
    assert find_nuclei(noise).count == 0


def test_turning_the_image_turns_the_nuclei():
    image = draw(GRID)
    turned = find_nuclei(np.ascontiguousarray(np.rot90(image)))
    assert np.array_equal(np.rot90(find_nuclei(image).labels > 0), turned.labels > 0)


@pytest.mark.parametrize("mpp", [0.0, 0.05, 4.0, float("nan")])
def test_a_scale_at_which_nuclei_cannot_be_counted_is_refused(mpp):
    with pytest.raises(RestainError, match=r"mpp: is .*; nuclei can be counted at 0.1 to 1 µm per pixel"):
        find_nuclei(draw(GRID), mpp=mpp)
