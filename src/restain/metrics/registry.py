"""The registry of metrics that are made of values per image, in the order in which they are shown."""

from __future__ import annotations

import numpy as np

from restain.metrics.correlation import average_correlation, pearson
from restain.metrics.estimate import Metric
from restain.stains import Floats

_WANG = "Wang et al., IEEE Trans. Image Process. 13 (2004)"
_RUIFROK = "Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001), vectors of Fiji's H DAB"
_MACRO = "Fiji macro published with PSPStain (2024)"
_USIGAN = "public evaluation code of USIGAN"
_FLAT_GREY = "one side of each pair is a single flat grey"
_BLIND_TO_SCALE = "blind to a wrong scale or offset; needs fields that differ; one extreme field can carry it"


def distance(fake: Floats, real: Floats) -> Floats:
    """Absolute difference per image."""
    return np.asarray(np.abs(fake - real))


def _amount(column: str, unit: str, what: str, source: str, range_: str, weakness: str) -> tuple[Metric, ...]:
    """An amount on the virtual and on the real stain, and how far apart they are."""
    return (
        Metric(column, unit, "none", f"{what}, virtual", source, (column,), range=range_, weakness=weakness),
        Metric(
            f"{column}_real",
            unit,
            "none",
            f"{what}, real",
            source,
            (f"{column}_real",),
            range=range_,
            weakness=weakness,
        ),
        Metric(
            name=f"{column}_error",
            unit=unit,
            direction="lower",
            definition=f"absolute difference of {what}, virtual and real, per image",
            source=source,
            columns=(column, f"{column}_real"),
            combine=distance,
            range=range_,
            weakness=f"small where most fields are negative; {weakness}",
        ),
    )


def _correlation(name: str, column: str, what: str, source: str) -> Metric:
    return Metric(
        name=name,
        unit="",
        direction="higher",
        definition=f"Pearson's r over images of {what}, virtual and real",
        source=source,
        columns=(column, f"{column}_real"),
        combine=pearson,
        level="set",
        range="[-1, 1]",
        weakness=_BLIND_TO_SCALE,
    )


SIMILARITY = (
    Metric(
        name="ssim",
        unit="",
        direction="higher",
        definition="structural similarity to the real stain",
        source=_WANG,
        columns=("ssim",),
        family="pixels",
        range="[-1, 1]",
        weakness="rewards what is blank or blurred and punishes a shift of a few pixels: a blank image can win",
    ),
    Metric(
        name="psnr",
        unit="dB",
        direction="higher",
        definition="peak signal-to-noise ratio",
        source="10 log10(255² / MSE)",
        columns=("psnr",),
        family="pixels",
        range="[0, inf], inf for identical images",
        weakness="as SSIM; dominated by the colour of large areas",
    ),
)
DAB = (
    *_amount(
        "dab_mean_od",
        "OD",
        "mean DAB density",
        _RUIFROK,
        "[0, 2.4]",
        "counts brown pigment and eosin as DAB; DAB does not obey Beer-Lambert when dense",
    ),
    _correlation("dab_pearson_r", "dab_mean_od", "mean DAB density", _RUIFROK),
    *_amount(
        "dab_positive_area",
        "fraction",
        "share of pixels with DAB density of at least 0.2",
        _RUIFROK,
        "[0, 1]",
        "the threshold is QuPath's default 1+, not tuned to an antibody; glass counts as area",
    ),
    _correlation("dab_positive_area_pearson_r", "dab_positive_area", "positive area", _RUIFROK),
    *_amount(
        "dab_iod",
        "OD px",
        "integrated DAB density (mIOD)",
        _MACRO,
        "[0, 2.7 times the pixels]",
        "grows with image size; Fiji's third stain vector reads most of pure eosin as DAB",
    ),
)
CONTENT = (
    Metric(
        name="r_content",
        unit="",
        direction="higher",
        definition="Pearson's r of grey levels, virtual stain and H&E; 1 for a copy of the H&E",
        source=_USIGAN,
        columns=("r_content",),
        family="content",
        range="[-1, 1]",
        weakness="1 for a copied H&E; falls where a stain rightly turns pale eosin brown",
        undefined=_FLAT_GREY,
    ),
    _correlation("r_pathology", "dab_iod", "integrated DAB density", _USIGAN),
    Metric(
        name="r_avg",
        unit="",
        direction="higher",
        definition="mean of r_content and r_pathology; read it only beside both",
        source=_USIGAN,
        columns=("r_content", "dab_iod", "dab_iod_real"),
        combine=average_correlation,
        level="set",
        family="content",
        range="[-1, 1]",
        weakness="averages two different questions; a copied H&E already has half of it",
        complete=False,  # r_content is averaged over the images that have one, r_pathology over all
    ),
)

METRICS: tuple[Metric, ...] = (*SIMILARITY, *DAB, *CONTENT)
