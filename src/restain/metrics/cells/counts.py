"""The metrics of counted cells: number, positivity, H-score, HER2 category, and agreement at clinical cut-offs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from restain.metrics.amounts import Amount, agreement, amount, over_images
from restain.metrics.cells.scores import measure_field
from restain.metrics.measures import ImageMeasure, Marker, MeasuredImage
from restain.metrics.metric import ClassTable, Metric
from restain.metrics.statistics.agreement import CLASS_KAPPA
from restain.stains import Floats

_EVERYWHERE: tuple[Marker, ...] = ("nuclear", "membrane", "cytoplasm")
_COUNTED = ("nuclei_count", "positive_index", "h_score")


def hormone_receptor_class(index: Floats) -> Floats:
    """ER or PR by the share of positive nuclei: 0 below 1 %, 1 (low positive) to 10 %, 2 (positive) above.

    Source: ASCO/CAP 2020, Allison et al., J. Clin. Oncol. 38.
    """
    return np.asarray((index >= 0.01).astype(np.float64) + (index > 0.10))


def ki67_class(index: Floats) -> Floats:
    """Ki67 by the share of positive nuclei: 0 below 20 %, 1 from 20 to below 30 %, 2 from 30 %.

    Source: St Gallen consensus 2013 (20 %) and 2015 (20 to 29 %), Goldhirsch et al. and Coates et al., Ann. Oncol.
    """
    return np.asarray((index >= 0.20).astype(np.float64) + (index >= 0.30))


def _values(*names: str) -> Callable[[MeasuredImage], list[float]]:
    return lambda image: [image.once(measure_field)[name] for name in names]


_ALL_CELLS = (
    "counts stroma and lymphocytes with the tumour unless a mask shows where it is; needs nuclei that the "
    "segmentation sees; for research only"
)
_WHERE = "of its nucleus (nuclear marker) or of the 3 µm around it (cytoplasmic); membranes by their completeness"
_COUNT = Amount(
    column="nuclei_count",
    measure=ImageMeasure(names=_COUNTED, function=_values(*_COUNTED), needs_mpp=True, empty=0.0),
    unit="nuclei",
    what="number of nuclei",
    source="colour unmixing, Otsu threshold and watershed: restain.metrics.cells.nuclei",
    range="[0, inf)",
    weakness=_ALL_CELLS,
    family="cells",
)
_INDEX = replace(
    _COUNT,
    column="positive_index",
    unit="fraction",
    what=f"share of cells with a mean DAB density of at least 0.2 {_WHERE}",
    range="[0, 1]",
    weakness=f"the threshold is QuPath's default 1+, not tuned to an antibody; {_ALL_CELLS}",
    markers=_EVERYWHERE,
    ballot="positivity",
    undefined="no nucleus is found on one side of each pair",
)
_H_SCORE = replace(
    _INDEX,
    column="h_score",
    unit="",
    what=f"H-score of the cells at DAB densities of 0.2, 0.4 and 0.6 {_WHERE}",
    source="McCarty et al., Arch. Pathol. Lab. Med. 109 (1985); QuPath's default densities",
    range="[0, 300]",
    weakness=_ALL_CELLS,
)
_HER2 = replace(
    _INDEX,
    column="her2_band",
    measure=ImageMeasure(names=("her2_band",), function=_values("her2_band"), needs_mpp=True, empty=0.0),
    unit="",
    what="HER2 category 0 to 3 of the field",
    source="after ASCO/CAP 2018, Wolff et al., J. Clin. Oncol. 36, simplified: restain.metrics.cells.membranes",
    range="[0, 3]",
    weakness=f"a field is not a slide; {_ALL_CELLS}",
    markers=("membrane",),
    stains=("her2",),
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


def _in_classes(name: str, classes: Callable[[Floats], Floats], table: ClassTable, stains: tuple[str, ...]) -> Metric:
    """Agreement of the clinical classes that the share of positive cells falls into."""
    found = over_images(
        _INDEX,
        name,
        replace(CLASS_KAPPA, features=lambda fake, real: CLASS_KAPPA.features(classes(fake), classes(real))),
        f"Cohen's kappa with quadratic weights of the classes {', '.join(table.names)}",
    )
    return replace(
        found,
        source=f"{' '.join((classes.__doc__ or '').split('Source: ')[1].split())} Cohen 1968",
        markers=("nuclear",),
        stains=stains,
        classes=table,
        weakness="a field is not a case; no value where all fields are in one class, and low where nearly all are",
    )


NUCLEAR_AREA = (_area("nuclear_area", "virtual"), _area("nuclear_area_real", "real"))
NUCLEI_COUNT = (*amount(_COUNT), *agreement(_COUNT))
POSITIVE_INDEX = (*amount(_INDEX), *agreement(_INDEX))
H_SCORE = (*amount(_H_SCORE), *agreement(_H_SCORE))
HER2_BAND = (
    *amount(_HER2),
    replace(
        over_images(_HER2, "her2_band_kappa", CLASS_KAPPA, "Cohen's kappa with quadratic weights (Cohen 1968)"),
        classes=ClassTable(("0", "1+", "2+", "3+"), lambda band: band),
    ),
)
AT_CUT_OFFS = (
    _in_classes(
        "hormone_receptor_kappa",
        hormone_receptor_class,
        ClassTable(("below 1 %", "1 to 10 %", "above 10 %"), hormone_receptor_class),
        ("er", "pr"),
    ),
    _in_classes("ki67_kappa", ki67_class, ClassTable(("below 20 %", "20 to 30 %", "from 30 %"), ki67_class), ("ki67",)),
)
