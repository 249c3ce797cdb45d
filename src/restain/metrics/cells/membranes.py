"""HER2 on the membranes of cells, and the category of a field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.segmentation import expand_labels

from restain.metrics.cells.nuclei import Labels, Nuclei
from restain.stains import Floats

MEMBRANE_UM = 6.0  # how far from its nucleus a cell's membrane is looked for
SECTORS = 16  # of the circle around a nucleus
FAINT_OD, WEAK_OD, STRONG_OD = 0.1, 0.2, 0.6  # of a membrane, by the densest pixel of a sector; faint: above background
PARTIAL, COMPLETE = 0.33, 0.6  # share of the circle; segmentation misses some of what is complete to the eye
FIELD_SHARE = 0.1  # a category needs more than 10 % of the cells, as in ASCO/CAP 2018
_MEMBRANE_SMOOTHING_UM = 0.25

Integers = npt.NDArray[np.int64]


def membrane_scores(nuclei: Nuclei) -> Integers:
    """Membrane staining of each cell, int (n,), 0 to 3.

    The cell reaches up to 6 µm beyond its nucleus, half-way to its neighbours at most. In each of 16 sectors around the
    nucleus, the densest DAB between nucleus and reach is the membrane's. 3: at least 0.6 in 60 % of the sectors,
    intense and complete; 2: at least 0.2 in 60 %, weak to moderate and complete; 1: at least 0.1 above the background
    in 33 %, faint or incomplete; 0: less. The background is the median DAB of all cells, nuclei included, at most 0.1:
    a pale brown veil over a field is no membrane.

    Source: the wording of ASCO/CAP's HER2 guideline, Wolff et al., J. Clin. Oncol. 36 (2018), simplified; the densities
    and shares are our own.
    """
    if not nuclei.count:
        return np.zeros(0, dtype=np.int64)
    cells = expand_labels(nuclei.labels, MEMBRANE_UM / nuclei.mpp)  # type: ignore[no-untyped-call]
    background = min(float(np.median(nuclei.dab[cells > 0])), FAINT_OD)
    densest = _sector_density(nuclei, cells)
    sectors = np.maximum(np.isfinite(densest).sum(axis=1), 1)
    levels = (FAINT_OD + background, WEAK_OD, STRONG_OD)
    faint, weak, strong = ((densest >= level).sum(axis=1) / sectors for level in levels)
    return np.asarray(np.select([strong >= COMPLETE, weak >= COMPLETE, faint >= PARTIAL], [3, 2, 1], default=0))


def _sector_density(nuclei: Nuclei, cells: Labels) -> Floats:
    """Densest DAB (n, 16) of each sector of each cell, nucleus left out; NaN where a neighbour leaves no room."""
    y, x = np.nonzero((cells > 0) & (nuclei.labels == 0))
    cell = cells[y, x] - 1
    centre = nuclei.centres
    turn = np.arctan2(y - centre[cell, 0], x - centre[cell, 1]) / (2 * np.pi) + 0.5
    sector = np.minimum((turn * SECTORS).astype(np.int64), SECTORS - 1)
    dab = ndimage.gaussian_filter(nuclei.dab, _MEMBRANE_SMOOTHING_UM / nuclei.mpp)
    densest = np.full(nuclei.count * SECTORS, -np.inf)
    np.maximum.at(densest, cell * SECTORS + sector, dab[y, x])
    return np.where(np.isinf(densest), np.nan, densest).reshape(-1, SECTORS)


def field_band(scores: npt.NDArray[np.integer]) -> float:
    """HER2 category of a field from the scores (n,) of its cells: the highest that more than 10 % of them reach.

    Returns:
        0 to 3; NaN where there is no cell.
    """
    if not len(scores):
        return float("nan")
    return float(max(band for band in range(4) if band == 0 or np.mean(scores >= band) > FIELD_SHARE))
