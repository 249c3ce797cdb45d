"""The Fréchet distance against closed forms, against a matrix square root and against torchmetrics."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from restain.metrics.learned.frechet import Gaussian, fid_infinity, fit_gaussian, frechet_distance
from restain.metrics.statistics.bootstrap import NotComputed


def draws(n: int, d: int, seed: int, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return scale * generator.standard_normal((n, d)) @ np.diag(np.linspace(0.5, 2.0, d)) + shift


def by_square_roots(x: np.ndarray, y: np.ndarray) -> float:
    s1, s2 = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(s1)
    cross = scipy.linalg.sqrtm(root @ s2 @ root)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * cross.real))


def test_two_diagonal_gaussians_have_a_closed_form() -> None:
    a, b = np.array([1.0, 4.0, 9.0]), np.array([4.0, 1.0, 0.25])
    real = Gaussian(10, np.zeros(3), np.diag(np.sqrt(a)))
    fake = Gaussian(10, np.array([1.0, 2.0, 2.0]), np.diag(np.sqrt(b)))
    assert frechet_distance(real, fake) == pytest.approx(9.0 + ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(), rel=1e-12)


def test_rotated_gaussians_have_the_closed_form_of_their_axes() -> None:
    rotation = scipy.linalg.expm(np.array([[0.0, 0.4], [-0.4, 0.0]]))
    one, other = np.diag([2.0, 1.0]), np.diag([1.0, 3.0])
    real, fake = (Gaussian(9, np.zeros(2), factor @ rotation) for factor in (one, other))
    assert frechet_distance(real, fake) == pytest.approx(1.0 + 4.0, rel=1e-12)


@pytest.mark.parametrize("n", [24, 300])  # fewer than the 40 features: centred rows; more: eigenvectors
def test_it_equals_the_symmetric_square_root(n: int) -> None:
    x, y = draws(n, 40, seed=1), draws(n + 7, 40, seed=2, scale=1.2, shift=0.1)
    # The square root of a singular covariance is itself good to about 1e-6 only.
    assert frechet_distance(fit_gaussian(x), fit_gaussian(y)) == pytest.approx(by_square_roots(x, y), rel=1e-5)


@pytest.mark.parametrize("n", [20, 700])
def test_a_fit_in_blocks_is_the_sample_covariance(n: int) -> None:
    x = draws(n, 30, seed=3, shift=1000.0)  # far from 0: sums of squares would cancel
    fitted = fit_gaussian(x)
    np.testing.assert_allclose(fitted.mean, x.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(fitted.factor.T @ fitted.factor, np.cov(x.T), atol=1e-10)


@pytest.mark.parametrize("n", [20, 700])
def test_identical_sets_in_any_order_are_at_distance_0(n: int) -> None:
    x = draws(n, 30, seed=4)
    shuffled = x[np.random.default_rng(0).permutation(n)]
    assert abs(frechet_distance(fit_gaussian(x), fit_gaussian(shuffled))) < 1e-10


def test_it_equals_torchmetrics_on_the_same_features() -> None:
    generator = torch.Generator().manual_seed(0)
    project = torch.randn(12, 3 * 8 * 8, generator=generator) / 10

    class Projection(torch.nn.Module):
        num_features = 12

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().flatten(1) / 255 @ project.T

    images = [torch.randint(0, high, (90, 3, 8, 8), generator=generator, dtype=torch.uint8) for high in (256, 200)]
    theirs = FrechetInceptionDistance(feature=Projection(), input_img_size=(3, 8, 8)).set_dtype(torch.float64)
    theirs.update(images[0], real=True)
    theirs.update(images[1], real=False)
    real, fake = (Projection()(image).numpy() for image in images)
    ours = frechet_distance(fit_gaussian(real), fit_gaussian(fake))
    assert ours == pytest.approx(float(theirs.compute()), rel=1e-5)


def test_the_extrapolation_removes_most_of_the_bias() -> None:
    x, y = draws(1200, 48, seed=5), draws(1200, 48, seed=6)  # one distribution: the truth is 0
    line = fid_infinity(x, y, seed=0)
    plain = frechet_distance(fit_gaussian(x), fit_gaussian(y))
    assert line.values[-1] == pytest.approx(plain, rel=1e-9) and line.sizes[0] == 300 and line.sizes[-1] == 1200
    assert list(line.values) == sorted(line.values, reverse=True)
    assert abs(line.value) < plain / 5
    assert fid_infinity(x, y, seed=0) == line != fid_infinity(x, y, seed=1)


def test_too_few_images() -> None:
    with pytest.raises(NotComputed, match="at least 2 images, there are 1"):
        fit_gaussian(draws(1, 4, seed=0))
    with pytest.raises(NotComputed, match="at least 128 images, there are 127"):
        fid_infinity(draws(127, 4, seed=0), draws(200, 4, seed=1), seed=0)


def test_with_fewer_images_than_features_the_extrapolation_is_no_cure():
    generator = np.random.default_rng(0)
    deviations = np.arange(1, 2049) ** -0.5
    wider = np.where(np.arange(2048) < 50, 1.3, 1.0) * deviations
    truth = ((wider - deviations) ** 2).sum()
    line = fid_infinity(*(generator.normal(size=(128, 2048)) * spread for spread in (deviations, wider)), seed=0)
    assert 5 * truth < line.value < line.values[-1]
