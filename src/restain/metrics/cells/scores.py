"""What a pathologist counts: cells by how strongly they are stained, and the numbers of a field that follow.

For research only. Nuclei are found by ``nuclei.find_nuclei``; tumour is not told from stroma, so all nuclei of a
field are the denominator, where a pathologist counts tumour cells alone, unless a mask says where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import expand_labels

from restain.images import RGB
from restain.metrics.cells.membranes import field_band, membrane_scores
from restain.metrics.cells.nuclei import DEFAULT_MPP, Mask, Nuclei, find_nuclei
from restain.metrics.measures import Marker, MeasuredImage
from restain.stains import Floats

INTENSITY_OD = (0.2, 0.4, 0.6)  # 1+, 2+, 3+ by a cell's mean DAB density: QuPath's defaults
CYTOPLASM_UM = 3.0  # how far from its nucleus the cytoplasm of a cell is measured

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """The cells of one image that count.

    Attributes:
        nuclei: their nuclei.
        intensity: int (n,), 0 to 3: how strongly each cell is stained, where the marker lies.
    """

    nuclei: Nuclei
    intensity: Integers


def count_cells(rgb: RGB, mpp: float = DEFAULT_MPP, marker: Marker = "nuclear", inside: Mask | None = None) -> Cells:
    """Find the cells of an IHC image and grade their staining.

    Args:
        rgb: uint8 (H, W, 3), haematoxylin and DAB.
        mpp: microns per pixel, 0.1 to 1.
        marker: where the DAB lies. A cell is graded by the mean DAB density of its nucleus or of its cytoplasm, at 0.2,
            0.4 and 0.6; a membrane stain by intensity and completeness, see ``membranes.membrane_scores``.
        inside: bool (H, W); only cells whose nucleus has its centre there count. None: everywhere.
    """
    nuclei = find_nuclei(rgb, mpp, marker)
    if inside is not None:
        nuclei = nuclei.within(inside)
    return Cells(nuclei, grade_cells(nuclei, marker))


def grade_cells(nuclei: Nuclei, marker: Marker) -> Integers:
    """How strongly each cell is stained, int (n,), 0 to 3."""
    if marker == "membrane":
        return membrane_scores(nuclei)
    return np.asarray(np.searchsorted(INTENSITY_OD, cell_density(nuclei, marker), side="right"))


def cell_density(nuclei: Nuclei, marker: Marker) -> Floats:
    """Mean DAB density of each cell (n,), in its nucleus or, for other markers, in what surrounds the nucleus."""
    return nuclear_density(nuclei) if marker == "nuclear" else cytoplasmic_density(nuclei)


def measure_cells(cells: Cells) -> dict[str, float]:
    """The numbers of a field.

    Returns:
        ``nuclei_count``; ``positive_index``, 0 to 1; ``h_score``, 0 to 300; ``her2_band``, 0 to 3, which means
        something for a membrane stain; ``nuclear_area``, the median in µm². All but the first are NaN without a cell.
    """
    areas = np.bincount(cells.nuclei.labels.ravel(), minlength=cells.nuclei.count + 1)[1:] * cells.nuclei.mpp**2
    return {
        "nuclei_count": float(cells.nuclei.count),
        "positive_index": positive_index(cells.intensity),
        "h_score": h_score(cells.intensity),
        "her2_band": field_band(cells.intensity),
        "nuclear_area": float(np.median(areas)) if len(areas) else float("nan"),
    }


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


def cytoplasmic_density(nuclei: Nuclei) -> Floats:
    """Mean DAB density around each nucleus, (n,): up to 3 µm from it, half-way to its neighbours at most.

    A nucleus that its neighbours leave no room has the density of the nucleus itself.
    """
    cells = expand_labels(nuclei.labels, CYTOPLASM_UM / nuclei.mpp)  # type: ignore[no-untyped-call]
    around = np.where(nuclei.labels == 0, cells, 0)
    room = np.bincount(around.ravel(), minlength=nuclei.count + 1)
    around = np.where((room == 0)[nuclei.labels], nuclei.labels, around)
    counts = np.bincount(around.ravel(), minlength=nuclei.count + 1)[1:]
    return np.asarray(np.bincount(around.ravel(), weights=nuclei.dab.ravel(), minlength=nuclei.count + 1)[1:] / counts)


def positive_index(intensity: Integers) -> float:
    """Share of cells, 0 to 1, whose intensity (n,) is at least 1+; NaN where n is 0."""
    return float(np.mean(intensity > 0)) if len(intensity) else float("nan")


def h_score(intensity: Integers) -> float:
    """H-score, 0 to 300: 1 x % of 1+ cells + 2 x % of 2+ + 3 x % of 3+; NaN where there is none.

    Source: McCarty et al., Arch. Pathol. Lab. Med. 109 (1985), on densities instead of impressions.
    """
    return 100.0 * float(np.mean(intensity)) if len(intensity) else float("nan")


def cells_of(image: MeasuredImage) -> Cells:
    """``count_cells`` of an image, for ``MeasuredImage.once``; a marker that is not known is taken as nuclear."""
    assert image.mpp is not None  # the measures need it
    return count_cells(image.rgb, image.mpp, image.marker or "nuclear", image.inside)


def measure_field(image: MeasuredImage) -> dict[str, float]:
    """``measure_cells`` of an image, for ``MeasuredImage.once``."""
    return measure_cells(image.once(cells_of))
