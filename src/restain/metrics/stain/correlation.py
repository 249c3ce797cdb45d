"""Correlations: of one image's grey levels with its H&E (content), of DAB over a set of images (pathology)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from restain.images import RGB
from restain.metrics.amounts import correlation
from restain.metrics.measures import MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.stain.dab import IOD
from restain.metrics.statistics.averages import PEARSON, pearson, pearson_of_means
from restain.metrics.statistics.moments import Statistic
from restain.stains import Floats

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601, the weights of OpenCV's grey conversion


def content_correlation(fake: RGB, source: RGB) -> float:
    """R_content of one image: Pearson's r of the grey levels of a virtual stain and of its H&E, pixel by pixel.

    Args:
        fake: uint8 (H, W, 3).
        source: uint8 of the same shape.

    Returns:
        [-1, 1]; 1 for a copy of the H&E, which is why it is never read alone; NaN where either is one flat grey.

    Source: the evaluation of USIGAN (content correlation), without rounding grey to 8 bits.
    """
    return float(pearson((fake @ _LUMA).ravel(), (source @ _LUMA).ravel()))


def average_correlation(content: Floats, density: Floats, density_real: Floats) -> Floats:
    """R_avg: the mean of R_content (mean over images) and R_pathology (Pearson's r of integrated density).

    Args:
        content: float (..., n), ``content_correlation`` per image, NaN where undefined.
        density: float (..., n), integrated density of the virtual stains.
        density_real: float (..., n), integrated density of the real stains.

    Returns:
        float (...); NaN where either part is undefined.
    """
    return AVERAGE(content, density, density_real)


def _average_features(content: Floats, density: Floats, density_real: Floats) -> Floats:
    defined = ~np.isnan(content)
    parts = np.stack([defined.astype(np.float64), np.where(defined, content, 0.0)])
    return np.concatenate([parts, PEARSON.features(density, density_real)])


def _average_value(means: Floats, n: Floats | int) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((means[1] / means[0] + pearson_of_means(means[2:], n)) / 2)


AVERAGE = Statistic(_average_features, _average_value, scale="fisher")


def _measure(pair: MeasuredPair) -> tuple[float]:
    assert pair.source is not None
    return (content_correlation(pair.fake.rgb, pair.source.rgb),)


_USIGAN = "public evaluation code of USIGAN"
_CONTENT = PairMeasure(names=("r_content",), function=_measure, needs_source=True)

R_CONTENT = Metric(
    name="r_content",
    direction="higher",
    definition="Pearson's r of grey levels, virtual stain and H&E; 1 for a copy of the H&E",
    source=_USIGAN,
    measures=(_CONTENT,),
    columns=("r_content",),
    family="content",
    range="[-1, 1]",
    weakness="1 for a copied H&E; falls where a stain rightly turns pale eosin brown",
    undefined="one side of each pair is a single flat grey",
)
R_PATHOLOGY = correlation(replace(IOD, source=_USIGAN), "r_pathology")
R_AVG = Metric(
    name="r_avg",
    direction="higher",
    definition="mean of r_content and r_pathology; read it only beside both",
    source=_USIGAN,
    measures=(_CONTENT, IOD.measure),
    columns=("r_content", "dab_iod", "dab_iod_real"),
    statistic=AVERAGE,
    family="content",
    range="[-1, 1]",
    weakness="averages two different questions; a copied H&E already has half of it",
    complete=False,  # r_content is averaged over the images that have one, r_pathology over all
)
