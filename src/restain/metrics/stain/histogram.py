"""How the DAB of two images is distributed: divergence of histograms, and the strongest tenth of the pixels."""

from __future__ import annotations

import numpy as np

from restain.images import RGB
from restain.metrics.amounts import STEP, Amount, amount, correlation
from restain.metrics.measures import ImageMeasure, MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.stain.dab import CORRELATION, DISTRIBUTION, density_of
from restain.stains import DAB, HEMATOXYLIN, Floats, separate

BINS = 256
_SHARPNESS = 5.0  # beta of the softplus that keeps densities positive, as published
_FLOOR = 1e-10  # added to the probability density of every bin, as published: a bin that is empty has a logarithm
_TOP_SHARE = 0.1


def softplus_density(rgb: RGB) -> Floats:
    """DAB density made positive by log(1 + exp(5 d)) / 5, with d the least-squares unmixing by the H DAB vectors.

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        float32 (H, W), > 0; 0.14 where there is no DAB, close to d from 0.5 on.

    Source: ODA-GAN's evaluation as the public code of UNIStainNet repeats it. The pseudo-inverse of two stain vectors
    is Ruifrok's unmixing with their cross product as residual.
    """
    signed = separate(rgb, HEMATOXYLIN, DAB)[..., 1]
    return np.asarray(np.logaddexp(0.0, _SHARPNESS * signed) / _SHARPNESS, dtype=np.float32)


def dab_histograms(real: RGB, fake: RGB) -> tuple[Floats, Floats]:
    """Histograms of ``softplus_density`` of a pair, 256 equal bins from 0 to the larger maximum of the two.

    Args:
        real: uint8 (H, W, 3).
        fake: uint8, of any size.

    Returns:
        Two float64 arrays (256,) that each sum to 1, real first; no entry is 0.
    """
    densities = [softplus_density(rgb).ravel() for rgb in (real, fake)]
    span = (0.0, float(max(one.max() for one in densities)) + 1e-6)
    raised = [np.histogram(one, bins=BINS, range=span, density=True)[0] + _FLOOR for one in densities]
    first, second = (one / one.sum() for one in raised)
    return first, second


def kullback_leibler(p: Floats, q: Floats) -> float:
    """KL(p || q) = sum p ln(p / q) of two distributions (k,) without empty entries, in nats; 0 where they are equal."""
    return float(np.sum(p * np.log(p / q)))


def jensen_shannon(p: Floats, q: Floats) -> float:
    """Jensen-Shannon divergence of two distributions (k,), in nats: symmetric, 0 (equal) to ln 2 = 0.693 (disjoint)."""
    middle = (p + q) / 2
    return (kullback_leibler(p, middle) + kullback_leibler(q, middle)) / 2


def top_decile(density: Floats) -> float:
    """Mean of the largest tenth, rounded up, of ``dab_density`` (H, W): how strong the stain is at its strongest."""
    values = density.ravel()
    count = int(np.ceil(_TOP_SHARE * values.size))
    return float(np.partition(values, -count)[-count:].mean(dtype=np.float64))


def _measure(pair: MeasuredPair) -> tuple[float, float]:
    p, q = dab_histograms(pair.real.rgb, pair.fake.rgb)
    return jensen_shannon(p, q), kullback_leibler(q, p)


_ODA_GAN = "evaluation of ODA-GAN as the public code of UNIStainNet repeats it"
_DIVERGENCES = PairMeasure(names=("dab_histogram_jsd", "dab_histogram_kl"), function=_measure)
_TOP_DECILE = Amount(
    column="dab_top_decile",
    measure=ImageMeasure(names=("dab_top_decile",), function=lambda image: (top_decile(image.once(density_of)),)),
    unit="OD",
    what="mean DAB density of the densest tenth of the pixels",
    source=_ODA_GAN,
    range="[0, 2.4]",
    weakness="does not measure how much is stained; pigment and folds are in the densest tenth",
    ballot=DISTRIBUTION,
    correlation_ballot=CORRELATION,
)


def _divergence(name: str, definition: str, range_: str, weakness: str, step: float) -> Metric:
    return Metric(
        name=name,
        unit="nats",
        direction="lower",
        definition=f"{definition} of the histograms of DAB density, 256 bins, per image",
        source=_ODA_GAN,
        measures=(_DIVERGENCES,),
        columns=(name,),
        family="stain",
        range=range_,
        weakness=f"blind to place; {weakness}",
        ballot=DISTRIBUTION,
        step=step,
    )


TOP_DECILE = (*amount(_TOP_DECILE), correlation(_TOP_DECILE, "dab_top_decile_pearson_r"))
HISTOGRAM_JSD = _divergence(
    "dab_histogram_jsd", "Jensen-Shannon divergence", "[0, 0.693]", "moves with a small change of the whole stain", STEP
)
HISTOGRAM_KL = _divergence(
    "dab_histogram_kl",
    "Kullback-Leibler divergence, virtual from real,",
    "[0, 29]",
    "a bin that the real stain leaves empty costs as much as the floor of 1e-10 sets",
    step=1.0,  # a twenty-seventh of the pixels in bins that the real stain leaves empty
)
