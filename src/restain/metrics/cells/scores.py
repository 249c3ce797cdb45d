"""What a pathologist counts: positive nuclei, the H-score, and the HER2 category of membrane staining.

For research only. Nuclei are found by ``nuclei.find_nuclei``; tumour is not told from stroma, so all nuclei of a
field are the denominator, where a pathologist counts tumour cells alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import expand_labels

from restain.images import RGB
from restain.metrics.amounts import Amount, agreement, amount, over_images
from restain.metrics.cells.nuclei import DEFAULT_MPP, Nuclei, find_nuclei
from restain.metrics.measures import ImageMeasure, MeasuredImage
from restain.metrics.metric import Metric
from restain.metrics.statistics.agreement import KAPPA
from restain.stains import Floats

INTENSITY_OD = (0.2, 0.4, 0.6)  # 1+, 2+, 3+ by a nucleus's mean DAB density: QuPath's defaults
MEMBRANE_UM = 6.0  # how far from its nucleus a cell's membrane is looked for
SECTORS = 16  # of the circle around a nucleus
FAINT_OD, WEAK_OD, STRONG_OD = 0.1, 0.2, 0.6  # of a membrane, by the densest pixel of a sector
PARTIAL, COMPLETE = 0.25, 0.6  # share of the circle; segmentation misses some of what is complete to the eye
FIELD_SHARE = 0.1  # a category needs more than 10 % of the cells, as in ASCO/CAP 2018
_MEMBRANE_SMOOTHING_UM = 0.25

Integers = npt.NDArray[np.int64]


def measure_nuclear_stain(rgb: RGB, mpp: float = DEFAULT_MPP) -> dict[str, float]:
    """Counts of a nuclear stain such as Ki67, ER or PR.

    Args:
        rgb: uint8 (H, W, 3), haematoxylin and DAB.
        mpp: microns per pixel, 0.1 to 1.

    Returns:
        ``nuclei_count``; ``positive_index``, 0 to 1; ``h_score``, 0 to 300; ``nuclear_area``, the median in µm²; the
        latter three NaN without a nucleus.
    """
    nuclei = find_nuclei(rgb, mpp)
    dab = nuclear_density(nuclei)
    areas = np.bincount(nuclei.labels.ravel(), minlength=nuclei.count + 1)[1:] * mpp**2
    return {
        "nuclei_count": float(nuclei.count),
        "positive_index": positive_index(dab),
        "h_score": h_score(dab),
        "nuclear_area": float(np.median(areas)) if len(areas) else float("nan"),
    }


def measure_membrane_stain(rgb: RGB, mpp: float = DEFAULT_MPP) -> dict[str, float]:
    """``her2_band``, 0 to 3, of a membrane stain; NaN without a nucleus. Arguments as ``measure_nuclear_stain``."""
    return {"her2_band": field_band(membrane_scores(find_nuclei(rgb, mpp, membranous=True)))}


def nuclear_density(nuclei: Nuclei) -> Floats:
    """Mean DAB density of each nucleus, (n,), without its outermost pixel, half of which is cytoplasm."""
    inside = ndimage.binary_erosion(nuclei.labels > 0, border_value=1)
    pixels = nuclei.labels[inside]
    kept = np.bincount(pixels, minlength=nuclei.count + 1)
    rim_only = ~inside & (kept == 0)[nuclei.labels]  # a nucleus so thin that nothing else is left of it
    chosen = (inside | rim_only) & (nuclei.labels > 0)
    labels = nuclei.labels[chosen]
    sums = np.bincount(labels, weights=nuclei.dab[chosen], minlength=nuclei.count + 1)
    return np.asarray(sums[1:] / np.bincount(labels, minlength=nuclei.count + 1)[1:])


def positive_index(dab: Floats) -> float:
    """Share of nuclei, 0 to 1, whose density (n,) is at least 0.2; NaN where n is 0."""
    return float(np.mean(dab >= INTENSITY_OD[0])) if len(dab) else float("nan")


def h_score(dab: Floats) -> float:
    """H-score, 0 to 300: 1 x % of 1+ nuclei + 2 x % of 2+ + 3 x % of 3+; NaN where there is none.

    Args:
        dab: (n,) density of each nucleus; ``INTENSITY_OD`` says from where it is 1+, 2+ and 3+.

    Source: McCarty et al., Arch. Pathol. Lab. Med. 109 (1985), on densities instead of impressions.
    """
    return 100.0 * float(np.mean(np.searchsorted(INTENSITY_OD, dab, side="right"))) if len(dab) else float("nan")


def membrane_scores(nuclei: Nuclei) -> Integers:
    """Membrane staining of each cell, int (n,), 0 to 3.

    The cell reaches up to 6 µm beyond its nucleus, half-way to its neighbours at most. In each of 16 sectors around the
    nucleus, the densest DAB between nucleus and reach is the membrane's. 3: at least 0.6 in 60 % of the sectors,
    intense and complete; 2: at least 0.2 in 60 %, weak to moderate and complete; 1: at least 0.1 in 25 %, faint or
    incomplete; 0: less.

    Source: the wording of ASCO/CAP's HER2 guideline, Wolff et al., J. Clin. Oncol. 36 (2018), simplified; the densities
    and shares are our own.
    """
    densest = _sector_density(nuclei)
    sectors = np.maximum(np.isfinite(densest).sum(axis=1), 1)
    shares = {level: (densest >= level).sum(axis=1) / sectors for level in (FAINT_OD, WEAK_OD, STRONG_OD)}
    rules = [shares[STRONG_OD] >= COMPLETE, shares[WEAK_OD] >= COMPLETE, shares[FAINT_OD] >= PARTIAL]
    return np.asarray(np.select(rules, [3, 2, 1], default=0))


def _sector_density(nuclei: Nuclei) -> Floats:
    """Densest DAB (n, 16) of each sector of each cell, nucleus left out; NaN where a neighbour leaves no room."""
    cells = expand_labels(nuclei.labels, MEMBRANE_UM / nuclei.mpp)  # type: ignore[no-untyped-call]
    y, x = np.nonzero((cells > 0) & (nuclei.labels == 0))
    cell = cells[y, x] - 1
    index = np.arange(1, nuclei.count + 1)
    centre = np.reshape(ndimage.center_of_mass(nuclei.labels > 0, nuclei.labels, index), (-1, 2))
    turn = np.arctan2(y - centre[cell, 0], x - centre[cell, 1]) / (2 * np.pi) + 0.5
    sector = np.minimum((turn * SECTORS).astype(np.int64), SECTORS - 1)
    dab = ndimage.gaussian_filter(nuclei.dab, _MEMBRANE_SMOOTHING_UM / nuclei.mpp)
    densest = np.full((nuclei.count, SECTORS), np.nan)
    np.fmax.at(densest, (cell, sector), dab[y, x])
    return densest


def field_band(scores: npt.NDArray[np.integer]) -> float:
    """HER2 category of a field from the scores (n,) of its cells: the highest that more than 10 % of them reach.

    Returns:
        0 to 3; NaN where there is no cell.
    """
    if not len(scores):
        return float("nan")
    return float(max(band for band in range(4) if band == 0 or np.mean(scores >= band) > FIELD_SHARE))


def _nuclear_stain(image: MeasuredImage) -> dict[str, float]:
    assert image.mpp is not None  # the measures need it
    return measure_nuclear_stain(image.rgb, image.mpp)


def _values(*names: str) -> Callable[[MeasuredImage], list[float]]:
    return lambda image: [image.once(_nuclear_stain)[name] for name in names]


_COUNTED = ("nuclei_count", "positive_index", "h_score")


def _measure_membranes(image: MeasuredImage) -> list[float]:
    assert image.mpp is not None  # the measure needs it
    return list(measure_membrane_stain(image.rgb, image.mpp).values())


_ALL_CELLS = "counts stroma and lymphocytes with the tumour; needs nuclei that the segmentation sees; for research only"
_COUNT = Amount(
    column="nuclei_count",
    measure=ImageMeasure(names=_COUNTED, function=_values(*_COUNTED), needs_mpp=True, empty=0.0),
    unit="nuclei",
    what="number of nuclei",
    source="H-DAB unmixing, Otsu threshold and watershed: restain.metrics.cells.nuclei",
    range="[0, inf)",
    weakness=_ALL_CELLS,
    family="cells",
)
_INDEX = replace(
    _COUNT,
    column="positive_index",
    unit="fraction",
    what="share of nuclei with a mean DAB density of at least 0.2",
    range="[0, 1]",
    weakness=f"the threshold is QuPath's default 1+, not tuned to an antibody; {_ALL_CELLS}",
    markers=("nuclear",),
    ballot="positivity",
    undefined="no nucleus is found on one side of each pair",
)
_H_SCORE = replace(
    _INDEX,
    column="h_score",
    unit="",
    what="H-score at densities of 0.2, 0.4 and 0.6",
    source="McCarty et al., Arch. Pathol. Lab. Med. 109 (1985); QuPath's default densities",
    range="[0, 300]",
    weakness=f"of a nuclear stain: means nothing for HER2; {_ALL_CELLS}",
)
_HER2 = replace(
    _INDEX,
    column="her2_band",
    measure=ImageMeasure(names=("her2_band",), function=_measure_membranes, needs_mpp=True, empty=0.0),
    unit="",
    what="HER2 category 0 to 3 of the field",
    source="after ASCO/CAP 2018, Wolff et al., J. Clin. Oncol. 36, simplified: restain.metrics.cells.scores",
    range="[0, 3]",
    weakness=f"of a membrane stain; brown background reads as 1+; a field is not a slide; {_ALL_CELLS}",
    markers=("membrane",),
    ballot="her2_band",
)

_AREA = ImageMeasure(names=("nuclear_area",), function=_values("nuclear_area"), needs_mpp=True)


def _area(column: str, side: str) -> Metric:
    return Metric(
        name=column,
        unit="µm²",
        direction="none",
        definition=f"median area of the nuclei, {side}",
        source=_COUNT.source,
        measures=(_AREA,),
        columns=(column,),
        family="cells",
        range="[10, 300]",
        weakness="25 to 70 is usual: outside, the pixel size is wrong or the segmentation fails",
        undefined="no nucleus is found",
    )


NUCLEAR_AREA = (_area("nuclear_area", "virtual"), _area("nuclear_area_real", "real"))
NUCLEI_COUNT = (*amount(_COUNT), *agreement(_COUNT))
POSITIVE_INDEX = (*amount(_INDEX), *agreement(_INDEX))
H_SCORE = (*amount(_H_SCORE), *agreement(_H_SCORE))
HER2_BAND = (
    *amount(_HER2),
    over_images(_HER2, "her2_band_kappa", KAPPA, "Cohen's kappa with quadratic weights (Cohen 1968)"),
)
