"""Kernel distance of two sets of feature vectors (KID): the squared maximum mean discrepancy, unbiased."""

from __future__ import annotations

import numpy as np

from restain.metrics.learned.vectors import Rows, blocks
from restain.metrics.statistics.bootstrap import NotComputed
from restain.stains import Floats

SUBSETS = 100
SUBSET_SIZE = 100


def polynomial_kernel(x: Floats, y: Floats) -> Floats:
    """(x·y / d + 1)³ of every pair: float (n, d), (m, d) -> (n, m). Source: Bińkowski et al., ICLR 2018."""
    return np.asarray((x @ y.T / x.shape[1] + 1.0) ** 3)


def kernel_distance(real: Rows, fake: Rows, paired: bool = False) -> float:
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


def kernel_distance_of_subsets(
    real: Rows, fake: Rows, seed: int, subsets: int = SUBSETS, size: int = SUBSET_SIZE
) -> Floats:
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
