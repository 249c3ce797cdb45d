import numpy as np
import pytest
from scipy import stats
from skimage.color import rgb2gray

from restain.metrics.stain.correlation import average_correlation, content_correlation
from restain.metrics.statistics.averages import mean_defined, pearson


def test_pearson_agrees_with_scipy_row_by_row():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(5, 40))
    y = 0.5 * x + generator.normal(size=(5, 40))
    expected = [stats.pearsonr(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert pearson(x, y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6 + 0.1])
def test_pearson_with_a_constant_has_no_value(constant):
    varying = np.arange(7.0)
    assert np.isnan(pearson(np.full(7, constant), varying))
    assert np.isnan(pearson(varying, np.full(7, constant)))


def test_pearson_is_blind_to_scale_and_shift():
    x, y = np.random.default_rng(2).normal(size=(2, 30))
    assert pearson(3 * x - 100, 0.01 * y + 5) == pytest.approx(float(pearson(x, y)), abs=1e-10)
    assert pearson(x, -2 * x) == pytest.approx(-1)


def test_content_of_a_copy_is_one_and_of_a_negative_minus_one():
    rgb = np.random.default_rng(3).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    assert content_correlation(rgb, rgb) == pytest.approx(1)
    assert content_correlation(255 - rgb, rgb) == pytest.approx(-1)


def test_content_is_the_correlation_of_grey_levels():
    generator = np.random.default_rng(4)
    fake, source = generator.integers(0, 256, (2, 30, 30, 3), dtype=np.uint8)
    fake[:15] = source[:15]
    weights = [0.299, 0.587, 0.114]
    grey = [sum(w * image[..., c].astype(float) for c, w in enumerate(weights)).ravel() for image in (fake, source)]
    assert content_correlation(fake, source) == pytest.approx(stats.pearsonr(*grey).statistic, abs=1e-12)
    # other usual grey weights move it little
    other = stats.pearsonr(rgb2gray(fake).ravel(), rgb2gray(source).ravel()).statistic
    assert content_correlation(fake, source) == pytest.approx(other, abs=0.05)


def test_content_of_a_flat_image_has_no_value():
    rgb = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.isnan(content_correlation(np.full_like(rgb, 200), rgb))


def test_average_is_the_mean_of_its_two_parts():
    content = np.array([0.2, np.nan, 0.6])
    density, real = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 3.5])
    expected = (0.4 + stats.pearsonr(density, real).statistic) / 2
    assert average_correlation(content, density, real) == pytest.approx(expected)


def test_mean_of_nothing_defined_is_undefined():
    assert mean_defined(np.array([[1.0, np.nan, 3.0], [np.nan] * 3])) == pytest.approx([2.0, np.nan], nan_ok=True)
