"""The registry of metrics that are made of values per image, in the order in which they are shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from restain.metrics.cells.rows import CELLS
from restain.metrics.metric import Metric
from restain.metrics.row_kinds import Amount, amount, correlation
from restain.metrics.stain.correlation import average_correlation

_WANG = "Wang et al., IEEE Trans. Image Process. 13 (2004)"
_RUIFROK = "Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001), vectors of Fiji's H DAB"
_MACRO = "Fiji macro published with PSPStain (2024)"
_USIGAN = "public evaluation code of USIGAN"
_ODA_GAN = "evaluation of ODA-GAN as the public code of UNIStainNet repeats it"
_FLAT_GREY = "one side of each pair is a single flat grey"
_TOO_SMALL_FOR_SHIFTS = "the images are too small for shifts of 8 pixels"

_MEAN_OD = Amount(
    column="dab_mean_od",
    unit="OD",
    what="mean DAB density",
    source=_RUIFROK,
    range="[0, 2.4]",
    weakness="counts brown pigment and eosin as DAB; DAB does not obey Beer-Lambert when dense",
)
_AREA = Amount(
    column="dab_positive_area",
    unit="fraction",
    what="share of pixels with DAB density of at least 0.2",
    source=_RUIFROK,
    range="[0, 1]",
    weakness="the threshold is QuPath's default 1+, not tuned to an antibody; glass counts as area",
)
_IOD = Amount(
    column="dab_iod",
    unit="OD px",
    what="integrated DAB density (mIOD)",
    source=_MACRO,
    range="[0, 2.7 times the pixels]",
    weakness="grows with image size; Fiji's third stain vector reads most of pure eosin as DAB",
)
_TOP_DECILE = Amount(
    column="dab_top_decile",
    unit="OD",
    what="mean DAB density of the densest tenth of the pixels",
    source=_ODA_GAN,
    range="[0, 2.4]",
    weakness="says nothing of how much is stained; pigment and folds are in the densest tenth",
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
    Metric(
        name="ms_ssim",
        unit="",
        direction="higher",
        definition="multi-scale structural similarity over five scales",
        source="Wang, Simoncelli and Bovik, Asilomar Conference (2003), Eq. 7; torchmetrics",
        columns=("ms_ssim",),
        family="pixels",
        range="[0, 1]",
        weakness="as SSIM, but a few pixels of shift matter less; the same under every protocol",
        undefined="it needs images of at least 176 pixels on a side",
    ),
    Metric(
        name="ssim_shift",
        unit="",
        direction="higher",
        definition="best structural similarity over shifts of up to 8 pixels each way, on their common area",
        source=f"{_WANG}; the search is our own",
        columns=("ssim_shift",),
        family="pixels",
        range="[-1, 1]",
        weakness="forgives a shift, not a rotation or another section; rewards what is blank as SSIM does",
        undefined=_TOO_SMALL_FOR_SHIFTS,
    ),
    Metric(
        name="ssim_shift_px",
        unit="px",
        direction="none",
        definition="length of the shift at which ssim_shift is found",
        source="own",
        columns=("ssim_shift_y", "ssim_shift_x"),
        combine=np.hypot,
        family="pixels",
        range="[0, 11.3]",
        weakness="near 8 the best shift may lie beyond the search; means nothing where SSIM is low at every shift",
        undefined=_TOO_SMALL_FOR_SHIFTS,
    ),
)


def _divergence(name: str, definition: str, range_: str, weakness: str) -> Metric:
    return Metric(
        name=name,
        unit="nats",
        direction="lower",
        definition=f"{definition} of the histograms of DAB density, 256 bins, per image",
        source=_ODA_GAN,
        columns=(name,),
        range=range_,
        weakness=f"blind to where the stain lies; {weakness}",
    )


DAB = (
    *amount(_MEAN_OD),
    correlation(_MEAN_OD, "dab_pearson_r"),
    *amount(_AREA),
    correlation(_AREA, "dab_positive_area_pearson_r"),
    *amount(_IOD),
    *amount(_TOP_DECILE),
    correlation(_TOP_DECILE, "dab_top_decile_pearson_r"),
    _divergence(
        "dab_histogram_jsd", "Jensen-Shannon divergence", "[0, 0.693]", "moves with a small change of the whole stain"
    ),
    _divergence(
        "dab_histogram_kl",
        "Kullback-Leibler divergence, virtual from real,",
        "[0, 29]",
        "a bin that the real stain leaves empty costs as much as the floor of 1e-10 says",
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
    correlation(replace(_IOD, source=_USIGAN), "r_pathology"),
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

METRICS: tuple[Metric, ...] = (*SIMILARITY, *DAB, *CONTENT, *CELLS)
