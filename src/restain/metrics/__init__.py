"""The registry of metrics: everything that an evaluation reports, in the order in which it is shown."""

from __future__ import annotations

import numpy as np

from restain.metrics.bootstrap import NotComputed
from restain.metrics.correlation import average_correlation, pearson
from restain.metrics.estimate import Estimate, Metric, estimate, itself
from restain.metrics.protocols import PROTOCOLS, Protocol, find_protocol
from restain.stains import Floats

__all__ = ["METRICS", "PROTOCOLS", "Estimate", "Metric", "NotComputed", "Protocol", "estimate", "find_protocol"]


def _distance(fake: Floats, real: Floats) -> Floats:
    return np.asarray(np.abs(fake - real))


_WANG = "Wang et al., IEEE Trans. Image Process. 13 (2004)"
_RUIFROK = "Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001), vectors of Fiji's H DAB"
_MACRO = "Fiji macro published with PSPStain (2024)"
_USIGAN = "public evaluation code of USIGAN"

METRICS: tuple[Metric, ...] = (
    Metric("ssim", "", "higher", "structural similarity to the real stain", _WANG, ("ssim",), itself),
    Metric("psnr", "dB", "higher", "peak signal-to-noise ratio", "10 log10(255² / MSE)", ("psnr",), itself),
    Metric("dab_mean_od", "OD", "none", "mean DAB density, virtual", _RUIFROK, ("dab_mean_od",), itself),
    Metric("dab_mean_od_real", "OD", "none", "mean DAB density, real", _RUIFROK, ("dab_mean_od_real",), itself),
    Metric(
        name="dab_mean_od_error",
        unit="OD",
        direction="lower",
        definition="absolute difference of mean DAB density, virtual and real, per image",
        source=_RUIFROK,
        columns=("dab_mean_od", "dab_mean_od_real"),
        combine=_distance,
    ),
    Metric(
        name="dab_pearson_r",
        unit="",
        direction="higher",
        definition="Pearson's r over images of mean DAB density, virtual and real",
        source=_RUIFROK,
        columns=("dab_mean_od", "dab_mean_od_real"),
        combine=pearson,
        level="set",
    ),
    Metric(
        "dab_positive_area",
        "fraction",
        "none",
        "share of pixels with DAB density of at least 0.2, virtual",
        _RUIFROK,
        ("dab_positive_area",),
        itself,
    ),
    Metric(
        "dab_positive_area_real",
        "fraction",
        "none",
        "share of pixels with DAB density of at least 0.2, real",
        _RUIFROK,
        ("dab_positive_area_real",),
        itself,
    ),
    Metric(
        name="dab_positive_area_error",
        unit="fraction",
        direction="lower",
        definition="absolute difference of positive area, virtual and real, per image",
        source=_RUIFROK,
        columns=("dab_positive_area", "dab_positive_area_real"),
        combine=_distance,
    ),
    Metric(
        name="dab_positive_area_pearson_r",
        unit="",
        direction="higher",
        definition="Pearson's r over images of positive area, virtual and real",
        source=_RUIFROK,
        columns=("dab_positive_area", "dab_positive_area_real"),
        combine=pearson,
        level="set",
    ),
    Metric("dab_iod", "OD px", "none", "integrated DAB density, virtual (mIOD)", _MACRO, ("dab_iod",), itself),
    Metric("dab_iod_real", "OD px", "none", "integrated DAB density, real (mIOD)", _MACRO, ("dab_iod_real",), itself),
    Metric(
        name="dab_iod_error",
        unit="OD px",
        direction="lower",
        definition="absolute difference of integrated DAB density, virtual and real, per image",
        source=_MACRO,
        columns=("dab_iod", "dab_iod_real"),
        combine=_distance,
    ),
    Metric(
        name="r_content",
        unit="",
        direction="higher",
        definition="Pearson's r of grey levels, virtual stain and H&E; 1 for a copy of the H&E",
        source=_USIGAN,
        columns=("r_content",),
        combine=itself,
    ),
    Metric(
        name="r_pathology",
        unit="",
        direction="higher",
        definition="Pearson's r over images of integrated DAB density, virtual and real",
        source=_USIGAN,
        columns=("dab_iod", "dab_iod_real"),
        combine=pearson,
        level="set",
    ),
    Metric(
        name="r_avg",
        unit="",
        direction="higher",
        definition="mean of r_content and r_pathology; read it only beside both",
        source=_USIGAN,
        columns=("r_content", "dab_iod", "dab_iod_real"),
        combine=average_correlation,
        level="set",
    ),
)
