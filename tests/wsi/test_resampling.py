"""The grid of a slide at any mpp: exact areas, no dependence on how it is cut, the right level."""

from pathlib import Path
from types import TracebackType

import numpy as np
import pytest

from restain.errors import RestainError
from restain.images import RGB
from restain.types import Mpp
from restain.wsi.geometry import Region, Size
from restain.wsi.resample import axis_weights, grid_size, read_region
from restain.wsi.slide import Level, pyramid_levels


class ArraySlide:
    """A pyramid held in arrays; it remembers which levels were read."""

    path, reader, icc = Path("array"), "array", None

    def __init__(self, *arrays: RGB, mpp: float = 0.2528) -> None:
        self.arrays, self.mpp = arrays, Mpp(mpp)
        self.properties: dict[str, str] = {}
        self.levels: tuple[Level, ...] = pyramid_levels([Size.of(array) for array in arrays])
        self.used: set[int] = set()

    def read_level(self, level: int, region: Region) -> RGB:
        self.used.add(level)
        array = self.arrays[level]
        pixels = np.full((region.height, region.width, 3), 255, np.uint8)
        inside = region.clip(Size.of(array))
        pixels[inside.within(region)] = array[inside.within(Size.of(array).region)]
        return pixels

    def close(self) -> None: ...

    def __enter__(self) -> "ArraySlide":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def noise(height: int, width: int, seed: int = 0) -> RGB:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def whole(slide: ArraySlide, mpp: float) -> RGB:
    return read_region(slide, grid_size(slide, mpp).region, mpp)


def area_average(image: RGB, step: float, size: tuple[int, int]) -> np.ndarray:
    """By integration: the running sum is piecewise linear, so its differences at the borders are sums of areas."""
    values = image.astype(np.float64)
    for axis, count in enumerate(size):
        length = values.shape[axis]
        borders = np.minimum(np.arange(count + 1) * step, length)

        def mean(line: np.ndarray, length: int = length, borders: np.ndarray = borders) -> np.ndarray:
            running = np.concatenate([[0.0], np.cumsum(line)])
            return np.diff(np.interp(borders, np.arange(length + 1), running)) / np.diff(borders)

        values = np.apply_along_axis(mean, axis, values)
    return values


@pytest.mark.parametrize("ratio", [0.4661 / 0.2528, 1.0625, 2.0, 3.7])
def test_a_pixel_is_the_mean_over_its_square(ratio: float) -> None:
    slide = ArraySlide(noise(231, 317))
    read = whole(slide, slide.mpp * ratio)
    assert Size.of(read) == grid_size(slide, slide.mpp * ratio)
    expected = area_average(slide.arrays[0], ratio, read.shape[:2])
    assert np.abs(read - expected).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("ratio", [0.4661 / 0.2528, 0.4661 / 0.5, 1.0, 1.1, 2.0, 5.03])
def test_overlapping_regions_agree_bit_for_bit(ratio: float) -> None:
    slide = ArraySlide(noise(300, 400), noise(150, 200, 1), noise(75, 100, 2))
    mpp = slide.mpp * ratio
    image = whole(slide, mpp)
    height, width = image.shape[:2]
    random = np.random.default_rng(7)
    for _ in range(40):
        x, y = int(random.integers(-20, width)), int(random.integers(-20, height))
        region = Region(x, y, int(random.integers(1, 90)), int(random.integers(1, 90)))
        inside = region.clip(Size(width, height))
        read = read_region(slide, region, mpp)
        assert np.array_equal(read[inside.within(region)], image[inside.within(Region(0, 0, width, height))])
        outside = np.ones(read.shape[:2], bool)
        outside[inside.within(region)] = False
        assert (read[outside] == 255).all()


def test_large_regions_are_read_in_parts_that_leave_no_trace() -> None:
    slide = ArraySlide(noise(2300, 2100))
    mpp = slide.mpp * 1.27
    image = whole(slide, mpp)
    for start in (0, 900, 1500):
        assert np.array_equal(read_region(slide, Region(start, 1000, 150, 700), mpp), image[1000:1700, start:][:, :150])


def test_the_nearest_finer_level_is_read() -> None:
    levels = [noise(400, 400), noise(200, 200, 1), noise(100, 100, 2)]
    for ratio, expected in ((0.5, 0), (1.0, 0), (1.9, 0), (2.0, 1), (3.9, 1), (4.0, 2), (50.0, 2)):
        slide = ArraySlide(*levels)
        whole(slide, slide.mpp * ratio)
        assert slide.used == {expected}


def test_a_level_that_is_meant_is_handed_out_as_it_is() -> None:
    slide = ArraySlide(noise(401, 603), noise(200, 301, 1))
    assert slide.levels[1].downsample == 2.0  # odd rows dropped, not 603 / 301
    assert np.array_equal(read_region(slide, Region(3, 5, 100, 90), slide.mpp * 2), slide.arrays[1][5:95, 3:103])
    almost = slide.mpp * 2.001  # 0.3 pixels over the whole slide
    assert np.array_equal(read_region(slide, Region(3, 5, 100, 90), almost), slide.arrays[1][5:95, 3:103])
    assert np.array_equal(whole(slide, slide.mpp), slide.arrays[0])


def test_position_does_not_drift_over_a_hundred_thousand_pixels() -> None:
    step = 0.4661 / 0.2528
    axis = axis_weights(99_990, 10, step, 200_000)
    middle = (axis.weights * (axis.indices + axis.start + 0.5)).sum(axis=1)
    assert np.allclose(middle, (np.arange(99_990, 100_000) + 0.5) * step, atol=0.26)  # inside its own square
    flat = axis_weights(0, 1000, step, 3000)
    assert np.allclose(flat.weights.sum(axis=1), 1, atol=1e-6)


def test_every_pixel_of_the_level_counts_alike() -> None:
    step, count = 1.84, 500
    axis = axis_weights(0, count, step, round(count * step))
    share = np.zeros(axis.stop)
    np.add.at(share, axis.indices, axis.weights)
    assert np.allclose(share, 1 / step, atol=1e-6)


def test_finer_than_the_slide_is_interpolated() -> None:
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 20, axis=0).repeat(3, axis=2)
    read = whole(ArraySlide(ramp), 0.2528 / 2)
    assert read.shape == (40, 200, 3)
    expected = np.clip((np.arange(200) + 0.5) / 2 - 0.5, 0, 99) * 2
    assert np.abs(read[10, :, 0] - expected).max() <= 0.5


def test_sizes_are_at_least_one_pixel_and_mpp_is_a_number() -> None:
    slide = ArraySlide(noise(5, 9))
    assert grid_size(slide, 20.0) == Size(1, 1)
    assert np.abs(whole(slide, 20.0)[0, 0] - slide.arrays[0].mean(axis=(0, 1))).max() <= 0.51
    for wrong in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(RestainError, match="expected a positive number"):
            read_region(slide, Region(0, 0, 1, 1), wrong)


def test_a_level_shorter_than_its_grid_ends_with_its_last_pixel() -> None:
    slide = ArraySlide(noise(10, 9), noise(5, 4, 1))  # the ninth column has no partner
    read = whole(slide, slide.mpp * 2)
    assert read.shape == (5, 4, 3)
    slide = ArraySlide(noise(10, 11), noise(5, 5, 1))
    read = whole(slide, slide.mpp * 2)
    assert read.shape == (5, 6, 3)
    assert np.array_equal(read[:, 5], slide.arrays[1][:, 4])
