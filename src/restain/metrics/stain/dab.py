"""How much DAB an image shows: mean optical density, positive area, and Fiji's integrated density.

Two separations are used on purpose. Mean optical density and positive area use exact Ruifrok deconvolution with the
cross product as third vector (as QuPath and scikit-image do). Integrated density repeats, rounding included,
what the published Fiji macro measures, so that it can be compared with published values.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from restain.images import RGB
from restain.metrics.amounts import Amount, amount, correlation
from restain.metrics.measures import ImageMeasure, MeasuredImage
from restain.stains import DAB, HEMATOXYLIN, Floats, separate

POSITIVE_OD = 0.2  # QuPath's default threshold "1+" on DAB optical density
STRONG_LEVEL = 100  # setThreshold(0, 100, "raw") of the published steps: optical density of at least 0.41


def dab_density(rgb: RGB) -> Floats:
    """Optical density along the DAB vector; colours outside the stain cone count as 0.

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        float32 (H, W), >= 0.
    """
    return np.asarray(np.maximum(separate(rgb, HEMATOXYLIN, DAB)[..., 1], 0.0))


def mean_density(density: Floats) -> float:
    """Mean DAB optical density over all pixels of ``dab_density``, glass included."""
    return float(density.mean(dtype=np.float64))


def positive_area(density: Floats, threshold: float = POSITIVE_OD) -> float:
    """Fraction of pixels, 0 to 1, whose DAB optical density is at least ``threshold``."""
    return float(np.mean(density >= threshold))


def _fiji_unmixing() -> npt.NDArray[np.float64]:
    """Weights (3,) of the R, G, B densities in Fiji's Colour_2 of its "H DAB" vectors.

    The plugin leaves the third vector open and fills each component with what the other two leave of a unit
    sum of squares, then normalises it. That is not the cross product: the DAB channel differs a little.
    """
    known = np.array([HEMATOXYLIN, DAB], dtype=np.float64)
    known /= np.linalg.norm(known, axis=1, keepdims=True)
    third = np.sqrt(np.maximum(0.0, 1.0 - (known**2).sum(axis=0)))
    rows = np.vstack([known, third / np.linalg.norm(third)])
    return np.asarray(np.linalg.inv(rows)[:, 1])


def fiji_dab(rgb: RGB) -> npt.NDArray[np.uint8]:
    """Fiji's 8-bit Colour_2 image under "Colour Deconvolution, vectors=[H DAB]".

    v = floor(255 * 10^-c + 1/2), at most 255, with c the DAB share of the densities -log10((I + 1) / 255).

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        uint8 (H, W): 255 is no DAB, 0 is opaque.

    Source: G. Landini's Colour Deconvolution plugin 1.7 as Fiji ships it.
    """
    density = -np.log10((np.arange(256) + 1) / 255.0)
    weights = _fiji_unmixing()
    amount = sum(weights[channel] * density[rgb[..., channel]] for channel in range(3))
    return np.asarray(np.floor(np.minimum(255.0, 255.0 * np.power(10.0, -amount)) + 0.5).astype(np.uint8))


def integrated_density(rgb: RGB, highest: int = 255) -> float:
    """Integrated optical density (IOD, Fiji's IntDen) of the DAB channel.

    The sum of log10(255 / v) over all pixels, v = ``fiji_dab``; v = 0 is read as 0.5. Fiji's steps: Colour
    Deconvolution [H DAB]; Colour_2; 8-bit; Calibrate "Uncalibrated OD"; Measure. The published steps also set a
    threshold of 0 to 100, but leave "Limit to threshold" unticked, so it changes nothing: Area is the whole image in
    every row of the authors' table.

    Args:
        rgb: uint8 (H, W, 3).
        highest: only pixels up to this 8-bit value count; 100 is what the threshold would leave if it were applied.

    Returns:
        Optical density times pixels; grows with the image's area.

    Source: steps published with USIGAN (Fiji_step.png).
    """
    return _sum_of_densities(_histogram(rgb), highest)


def _histogram(rgb: RGB) -> npt.NDArray[np.int64]:
    return np.bincount(fiji_dab(rgb).ravel(), minlength=256)


def _sum_of_densities(counts: npt.NDArray[np.int64], highest: int = 255) -> float:
    levels = np.arange(highest + 1, dtype=np.float64)
    levels[0] = 0.5
    return float(counts[: highest + 1] @ np.log10(255.0 / levels))


def _histogram_of(image: MeasuredImage) -> npt.NDArray[np.int64]:
    return _histogram(image.rgb)


def _per_megapixel(image: MeasuredImage) -> tuple[float]:
    height, width = image.rgb.shape[:2]
    return (_sum_of_densities(image.once(_histogram_of)) / (height * width / 1e6),)


def density_of(image: MeasuredImage) -> Floats:
    """``dab_density`` of an image, for ``MeasuredImage.once``."""
    return dab_density(image.rgb)


RUIFROK = "Ruifrok and Johnston, Anal. Quant. Cytol. Histol. 23 (2001), vectors of Fiji's H DAB"
AMOUNT, CORRELATION, DISTRIBUTION = "dab_amount", "dab_correlation", "dab_distribution"  # ballots

_MEAN_OD = Amount(
    column="dab_mean_od",
    measure=ImageMeasure(names=("dab_mean_od",), function=lambda image: (mean_density(image.once(density_of)),)),
    unit="OD",
    what="mean DAB density",
    source=RUIFROK,
    range="[0, 2.4]",
    weakness="counts brown pigment and eosin as DAB; DAB does not obey Beer-Lambert when dense",
    ballot=AMOUNT,
    correlation_ballot=CORRELATION,
)
_AREA = Amount(
    column="dab_positive_area",
    measure=ImageMeasure(names=("dab_positive_area",), function=lambda image: (positive_area(image.once(density_of)),)),
    unit="fraction",
    what="share of pixels with DAB density of at least 0.2",
    source=RUIFROK,
    range="[0, 1]",
    weakness="the threshold is QuPath's default 1+, not tuned to an antibody; glass counts as area",
    ballot=AMOUNT,
    correlation_ballot=CORRELATION,
)
_EOSIN = "Fiji's third stain vector reads most of pure eosin as DAB"
_USIGAN = "Fiji's steps published with USIGAN"
IOD = Amount(
    column="dab_iod",
    measure=ImageMeasure(names=("dab_iod",), function=lambda image: (_sum_of_densities(image.once(_histogram_of)),)),
    unit="OD px",
    what="integrated DAB density over all pixels (mIOD)",
    source=_USIGAN,
    range="[0, inf)",
    weakness=f"grows with image size; pale background counts; {_EOSIN}",
    ballot=AMOUNT,
    correlation_ballot=CORRELATION,
)
_IOD_PER_MEGAPIXEL = replace(
    IOD,
    column="dab_iod_per_mp",
    measure=ImageMeasure(names=("dab_iod_per_mp",), function=_per_megapixel),
    unit="OD px / Mpx",
    what="integrated DAB density over all pixels, per million pixels",
    weakness=f"pale background counts; {_EOSIN}",
)
_IOD_STRONG = replace(
    IOD,
    column="dab_iod_strong",
    measure=ImageMeasure(
        names=("dab_iod_strong",),
        function=lambda image: (_sum_of_densities(image.once(_histogram_of), STRONG_LEVEL),),
    ),
    what="integrated DAB density over pixels of at least 0.41 OD",
    source=f"{_USIGAN}, with the threshold that they set and do not apply",
    weakness=f"grows with image size; blind to weak stain; reverses orders of dab_iod; {_EOSIN}",
)

MEAN_OD = (*amount(_MEAN_OD), correlation(_MEAN_OD, "dab_pearson_r"))
POSITIVE_AREA = (*amount(_AREA), correlation(_AREA, "dab_positive_area_pearson_r"))
INTEGRATED_DENSITY = (*amount(IOD), *amount(_IOD_PER_MEGAPIXEL), *amount(_IOD_STRONG))
