"""Fréchet distance of two sets of feature vectors (FID), and its extrapolation to an infinite set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from restain.metrics.learned.vectors import PHOTOGRAPHS, Indices, Rows, blocks
from restain.metrics.measures import SetMeasure, SetScore
from restain.metrics.metric import Metric
from restain.metrics.protocols import FeatureSettings, FidSettings, Protocol
from restain.metrics.statistics.bootstrap import NotComputed
from restain.stains import Floats

RELIABLE = 2048  # images: with fewer the covariance of 2048 features is singular and the distance far too large
EXTRAPOLATE_FROM = 128  # images: below it the smallest subset is too small for the 1/n law
_SUBSETS = 6  # sizes of the extrapolation, from a quarter of the set to all of it


@dataclass(frozen=True)
class Gaussian:
    """The normal distribution fitted to n vectors.

    Attributes:
        count: n.
        mean: float64 (d,).
        factor: float64 (r, d), r <= d; factorᵀ factor is the covariance with n - 1.
    """

    count: int
    mean: Floats
    factor: Floats


@dataclass(frozen=True)
class Extrapolation:
    """FID over subsets of growing size, and the straight line in 1/n through them at 1/n = 0."""

    value: float
    sizes: tuple[int, ...]
    values: tuple[float, ...]


def fit_gaussian(rows: Rows, indices: Indices | None = None) -> Gaussian:
    """Mean and covariance of feature vectors, in float64, without holding more than d of them.

    Up to d vectors the factor is the centred vectors themselves, which is exact and quick. Beyond, blocks are merged
    by a pairwise update that does not cancel, and the factor comes from the covariance's eigenvectors.

    Args:
        rows: (n, d), n >= 2.
        indices: which rows; ``None`` takes all.

    Raises:
        NotComputed: fewer than two rows.

    Source: Chan, Golub and LeVeque, The American Statistician 37 (1983).
    """
    n = len(rows) if indices is None else len(indices)
    if n < 2:
        raise NotComputed(f"a covariance needs at least 2 images, there are {n}")
    parts = blocks(rows, indices)
    first = next(parts)
    if n <= first.shape[1]:
        table = np.concatenate([first, *parts])
        mean = table.mean(axis=0)
        return Gaussian(n, mean, (table - mean) / np.sqrt(n - 1))
    mean, scatter = _accumulate(first, parts)
    return Gaussian(n, mean, _factor(scatter / (n - 1)))


def _accumulate(first: Floats, parts: Iterator[Floats]) -> tuple[Floats, Floats]:
    count, mean = len(first), first.mean(axis=0)
    scatter = (first - mean).T @ (first - mean)
    for part in parts:
        shift, total = part.mean(axis=0) - mean, count + len(part)
        centred = part - part.mean(axis=0)
        scatter += centred.T @ centred
        scatter += np.outer(shift, shift) * (count * len(part) / total)
        mean, count = mean + shift * (len(part) / total), total
    return mean, scatter


def _factor(covariance: Floats) -> Floats:
    """A with Aᵀ A = covariance; directions whose variance is rounding are left out."""
    variances, vectors = np.linalg.eigh(covariance)
    kept = variances > np.finfo(np.float64).eps * len(variances) * max(variances[-1], 0.0)
    return np.asarray(np.sqrt(variances[kept])[:, None] * vectors[:, kept].T)


def frechet_distance(real: Gaussian, fake: Gaussian) -> float:
    """|m1 - m2|² + tr(S1 + S2 - 2 (S1^½ S2 S1^½)^½), the squared 2-Wasserstein distance of two Gaussians.

    With S1 = AᵀA and S2 = BᵀB, the trace of that root is the sum of the singular values of A Bᵀ. So no product of
    covariances is formed, no root of it is taken, and nothing can turn complex.

    Returns:
        A number >= 0, up to rounding of about 1e-12 of the traces.

    Source: Dowson and Landau, J. Multivariate Anal. 12 (1982); Heusel et al., NeurIPS 2017.
    """
    shared = np.linalg.svd(real.factor @ fake.factor.T, compute_uv=False).sum()
    spread = (real.factor**2).sum() + (fake.factor**2).sum()
    return float(((real.mean - fake.mean) ** 2).sum() + spread - 2.0 * shared)


def fid_infinity(real: Rows, fake: Rows, seed: int) -> Extrapolation:
    """FID extrapolated to infinitely many images, since its bias is proportional to 1/n.

    FID is computed over 6 random subsets of n/4 to n images and a line in 1/n is fitted. The paper subsets the virtual
    images alone, against a real set of 50 000; here both sides are small, so both shrink together. Where they are
    pairs, a subset keeps pairs together, as the full set does.

    Args:
        real: (n, d).
        fake: (m, d).
        seed: of the subsets.

    Raises:
        NotComputed: fewer than 128 images on a side.

    Source: Chong and Forsyth, CVPR 2020, section 3.2.
    """
    n = min(len(real), len(fake))
    if n < EXTRAPOLATE_FROM:
        raise NotComputed(f"the extrapolation needs at least {EXTRAPOLATE_FROM} images, there are {n}")
    generator = np.random.default_rng(seed)
    sizes = [int(size) for size in np.linspace(n // 4, n, _SUBSETS)]
    values = []
    for size in sizes:
        chosen = generator.permutation(len(real))[:size]
        other = chosen if len(real) == len(fake) else generator.permutation(len(fake))[:size]
        values.append(frechet_distance(fit_gaussian(real, chosen), fit_gaussian(fake, other)))
    _, at_infinity = np.polyfit(1.0 / np.array(sizes), values, deg=1)
    return Extrapolation(float(at_infinity), tuple(sizes), tuple(values))


def fid_score(real: Rows, fake: Rows, seed: int) -> SetScore:
    """FID of rows (n, d) and (m, d), with fid_infinity and the subsets it comes from where there are enough images.

    Raises:
        NotComputed: a set has fewer than 2 images.
    """
    value = frechet_distance(fit_gaussian(real), fit_gaussian(fake))
    n = min(len(real), len(fake))
    few = f"{n} images are fewer than {RELIABLE}: too large by an unknown amount, compare only at equal n"
    try:
        line = fid_infinity(real, fake, seed)
    except NotComputed as reason:
        return SetScore(value, None, f"{few}; no fid_infinity: {reason}")
    details = {"fid_infinity": line.value, "subset_sizes": list(line.sizes), "subset_values": list(line.values)}
    return SetScore(value, None, f"{few}; fid_infinity is a rough guess below that" if n < RELIABLE else "", details)


def _measure(real: Rows, fake: Rows, protocol: Protocol, seed: int) -> SetScore:
    return fid_score(real, fake, seed)


def _row(
    name: str, resize: str, source: str, weakness: str, section: Callable[[Protocol], FidSettings | None]
) -> Metric:
    def features(protocol: Protocol) -> FeatureSettings | None:
        settings = section(protocol)
        return settings.features if settings else None

    return Metric(
        name=name,
        direction="lower",
        definition=f"Fréchet distance of the 2048 pooled features of the FID Inception, {resize}",
        source=f"Heusel et al., NeurIPS 2017; {source}",
        measures=(SetMeasure(features=features, function=_measure),),
        family="learned",
        range="[0, ∞)",
        weakness=f"grows as n shrinks, so compare at equal n; a single image has no value; {weakness}{PHOTOGRAPHS}",
        ballot="distance of sets",
    )


_NOT_ANTIALIASED = "the resize without antialiasing drops most of a large image; "
FID = _row(
    "fid",
    "resized to 299 by the protocol: antialiased as in clean-fid (clean), bilinear as in pytorch-fid (asp2023), "
    "as in TensorFlow 1 (unistainnet2026, cssp2p)",
    "clean-fid, Parmar et al., CVPR 2022; pytorch-fid; torchmetrics",
    "",
    lambda protocol: protocol.fid,
)
FID_TF = _row(
    "fid_tf",
    "bilinear resize to 299 without antialiasing",
    "pytorch-fid",
    _NOT_ANTIALIASED,
    lambda protocol: protocol.fid_tf,
)
