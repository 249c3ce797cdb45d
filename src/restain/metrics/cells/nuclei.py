"""Nuclei of an IHC image, by a segmentation that can be told in four lines.

The sum of haematoxylin and DAB (of a membrane stain: haematoxylin alone), cut off at 0.4 and smoothed, marks as nucleus
what exceeds three quarters of Otsu's threshold and, by 0.01, the mean of its surroundings. Specks are opened away and
small holes filled. A watershed on the distance to the border cuts touching nuclei apart, and pieces of less than
10 µm² or more than 300 µm² are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from restain.errors import RestainError
from restain.images import RGB
from restain.stains import DAB, HEMATOXYLIN, Floats, separate

Labels: TypeAlias = npt.NDArray[np.int32]  # (H, W): 0 is no nucleus, 1..n are the nuclei
Mask: TypeAlias = npt.NDArray[np.bool_]

DEFAULT_MPP = 0.5  # microns per pixel: 20x
MPP_RANGE = (0.1, 1.0)  # beyond 1 µm a lymphocyte is a few pixels
AREA_UM2 = (10.0, 300.0)  # a small lymphocyte is 20 µm², a large tumour nucleus 150

_CUT_OFF = 0.4  # optical density: a black nucleus counts no more than a blue one, or Otsu would find only the black
_SMOOTHING_UM = 0.75  # standard deviation: bridges clear chromatin
_SURROUNDINGS_UM = 8.0  # standard deviation: a nucleus and its neighbours
_OTSU_SHARE = 0.75  # Otsu lies between dark and light; pale nuclei lie below it
_LEAST_CONTRAST = 0.01  # optical density above the surroundings: less is noise on glass, whatever Otsu says
_OPENING_UM = 0.5
_HOLE_UM2 = 20.0
_APART_UM = 2.5  # between the centres of two nuclei


@dataclass(frozen=True)
class Nuclei:
    """The nuclei of one image.

    Attributes:
        labels: (H, W).
        count: n; labels run from 1 to n.
        dab: float32 (H, W), DAB density, >= 0.
        mpp: microns per pixel.
    """

    labels: Labels
    count: int
    dab: Floats
    mpp: float


def find_nuclei(rgb: RGB, mpp: float = DEFAULT_MPP, membranous: bool = False) -> Nuclei:
    """Segment the nuclei of an IHC image.

    Args:
        rgb: uint8 (H, W, 3), haematoxylin and DAB.
        mpp: microns per pixel, 0.1 to 1.
        membranous: DAB lies on membranes (HER2) and does not mark nuclei; otherwise a nucleus may be blue or brown.

    Raises:
        RestainError: ``mpp`` is out of its range.
    """
    if not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
        raise RestainError(f"mpp: is {mpp}; nuclei can be counted at {MPP_RANGE[0]:g} to {MPP_RANGE[1]:g} µm per pixel")
    amounts = np.maximum(separate(rgb, HEMATOXYLIN, DAB)[..., :2], 0.0)
    mask = _foreground(amounts[..., 0] if membranous else amounts.sum(axis=-1), mpp)
    labels = _cut_apart(mask, mpp)
    return Nuclei(labels, int(labels.max(initial=0)), amounts[..., 1], mpp)


def _foreground(density: Floats, mpp: float) -> Mask:
    signal = ndimage.gaussian_filter(np.minimum(density, _CUT_OFF), _SMOOTHING_UM / mpp)
    threshold = _OTSU_SHARE * threshold_otsu(signal)  # type: ignore[no-untyped-call]
    surroundings = ndimage.gaussian_filter(signal, _SURROUNDINGS_UM / mpp)
    mask = (signal > threshold) & (signal > surroundings + _LEAST_CONTRAST)
    mask = ndimage.binary_opening(mask, iterations=max(1, round(_OPENING_UM / mpp)))
    holes, _ = ndimage.label(~mask)
    small = np.bincount(holes.ravel()) * mpp**2 < _HOLE_UM2
    small[0] = False  # not a hole but the foreground
    return np.asarray(mask | small[holes])


def _cut_apart(mask: Mask, mpp: float) -> Labels:
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 0.5 / mpp)
    distance = max(1, round(_APART_UM / mpp))
    peaks = peak_local_max(depth, min_distance=distance, labels=mask, exclude_border=False)  # type: ignore[no-untyped-call]
    seeds = np.zeros(mask.shape, dtype=np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    pieces = watershed(-depth, seeds, mask=mask)  # type: ignore[no-untyped-call]
    area = np.bincount(pieces.ravel(), minlength=len(peaks) + 1) * mpp**2
    kept = (area >= AREA_UM2[0]) & (area <= AREA_UM2[1])
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0)[pieces].astype(np.int32))
