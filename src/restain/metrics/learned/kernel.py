"""Kernel distance of two sets of feature vectors (KID): the squared maximum mean discrepancy, unbiased."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from restain.metrics.learned.vectors import PHOTOGRAPHS, Rows, blocks
from restain.metrics.measures import SetMeasure, SetScore
from restain.metrics.metric import Metric
from restain.metrics.protocols import FeatureSettings, KidSettings, Protocol
from restain.metrics.statistics.bootstrap import NotComputed
from restain.stains import Floats

_THOUSANDTHS = 1000.0  # the unit in which the field prints KID


def polynomial_kernel(x: Floats, y: Floats) -> Floats:
    """(x·y / d + 1)³ of every pair: float (n, d), (m, d) -> (n, m). Source: Bińkowski et al., ICLR 2018."""
    return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3)


def kernel_distance(real: Rows, fake: Rows, *, paired: bool = False) -> float:
    """Unbiased estimate of MMD² under the cubic kernel, over all pairs of the two sets.

    Args:
        real: (n, d), n >= 2.
        fake: (m, d), m >= 2.
        paired: row i shows the same field on both sides (so m = n). These n products are not of independent images, so
            they are left out, as each row's product with itself is; equal sets are then at exactly 0.

    Returns:
        A number whose expectation is 0 for one distribution; it can be negative.

    Raises:
        NotComputed: a set has fewer than two images.

    Source: Gretton et al., JMLR 13 (2012), Eq. 3; paired, Eq. 4.
    """
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        raise NotComputed(f"a kernel distance needs at least 2 images on each side, there are {min(n, m)}")
    within = _sum_without_diagonal(real, real) / (n * (n - 1)) + _sum_without_diagonal(fake, fake) / (m * (m - 1))
    if paired:
        return within - 2.0 * _sum_without_diagonal(real, fake) / (n * (n - 1))
    return within - 2.0 * _sum(real, fake) / (n * m)


def _sum(x: Rows, y: Rows) -> float:
    return sum(float(polynomial_kernel(a, b).sum()) for a in blocks(x) for b in blocks(y))


def _sum_without_diagonal(x: Rows, y: Rows) -> float:
    products = (np.einsum("ij,ij->i", a, b) for a, b in zip(blocks(x), blocks(y), strict=True))
    width = next(blocks(x)).shape[1]
    return _sum(x, y) - sum(float(((product / width + 1.0) ** 3).sum()) for product in products)


def kernel_distance_of_subsets(real: Rows, fake: Rows, *, seed: int, subsets: int, size: int) -> Floats:
    """``kernel_distance`` of random subsets: (subsets,), whose mean is the KID of the literature.

    Args:
        real: (n, d).
        fake: (m, d).
        seed: of the draws, each without replacement and independent for the two sides.
        subsets: how many.
        size: images on each side; fewer where a set is smaller.

    Raises:
        NotComputed: a set has fewer than two images.

    Source: Bińkowski et al., ICLR 2018, section 4; the evaluation script of ASP for 100 subsets of 100.
    """
    size = min(size, len(real), len(fake))
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        chosen, other = (np.sort(generator.choice(len(rows), size, replace=False)) for rows in (real, fake))
        values.append(kernel_distance(np.asarray(real[chosen]), np.asarray(fake[other])))
    return np.array(values)


def kid_score(real: Rows, fake: Rows, settings: KidSettings, seed: int) -> SetScore:
    """KID of rows (n, d) and (m, d) in thousandths, by the estimator of the settings.

    "all-paired" is one estimate over all images; sets of one size are taken as pairs, see ``kernel_distance``.
    "subsets" is the mean over random subsets, with their standard deviation where subsets differ.

    Raises:
        NotComputed: a set has fewer than 2 images.
    """
    n = min(len(real), len(fake))
    if settings.estimator == "all-paired":
        return SetScore(_THOUSANDTHS * kernel_distance(real, fake, paired=len(real) == len(fake)), None, "")
    values = _THOUSANDTHS * kernel_distance_of_subsets(
        real, fake, seed=seed, subsets=settings.subsets, size=settings.subset_size
    )
    if n <= settings.subset_size:
        return SetScore(float(values.mean()), None, f"{n} images: every subset is the whole set")
    return SetScore(float(values.mean()), float(values.std(ddof=1)), f"std over {len(values)} subsets")


def _row(
    name: str, estimator: str, source: str, weakness: str, section: Callable[[Protocol], KidSettings | None]
) -> Metric:
    def features(protocol: Protocol) -> FeatureSettings | None:
        settings = section(protocol)
        return settings.features if settings else None

    def measure(real: Rows, fake: Rows, protocol: Protocol, seed: int) -> SetScore:
        settings = section(protocol)
        assert settings is not None
        return kid_score(real, fake, settings, seed)

    return Metric(
        name=name,
        unit="×10⁻³",
        direction="lower",
        definition=f"squared maximum mean discrepancy of Inception features, cubic kernel, unbiased; {estimator}",
        source=f"Bińkowski et al., ICLR 2018; {source}",
        measures=(SetMeasure(features=features, function=measure),),
        family="learned",
        range="around 0 for equal distributions, can be negative",
        weakness=f"{weakness}; {PHOTOGRAPHS}",
        ballot="distance of sets",
    )


KID = _row(
    "kid",
    "clean: as clean-fid, FID Inception, antialiased resize, mean of 100 subsets of min(n, 1000); asp2023: ImageNet "
    "Inception, mean of 100 subsets of min(n, 100)",
    "clean-fid, Parmar et al., CVPR 2022; public evaluation script of ASP (2023); torchmetrics",
    "protocols see it through different networks",
    lambda protocol: protocol.kid,
)
KID_PAIRED = _row(
    "kid_paired",
    "FID Inception, antialiased resize, one estimate over all images without the products of one field",
    "Gretton et al., JMLR 13 (2012), Eq. 4",
    "our own estimator: not comparable with published values",
    lambda protocol: protocol.kid_paired,
)
