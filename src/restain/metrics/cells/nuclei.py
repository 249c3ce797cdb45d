"""Nuclei of an IHC or H&E image, by a segmentation that can be told in a few lines.

Haematoxylin, eosin and DAB are unmixed, so that neither pink nor brown cytoplasm is taken for a nucleus. Under a
nuclear marker the larger of haematoxylin and 0.6 times DAB marks a nucleus, under other markers haematoxylin alone. Cut
off at 0.4 and smoothed, it has to exceed three quarters of Otsu's threshold and, by 0.01, the mean of its surroundings.
Specks are opened away and small holes filled. A watershed on the distance to the border cuts touching nuclei apart. A
clump of more than 150 µm² and three nuclei that is as dense as the nuclei of the field is divided into as many of their
size as it holds; other pieces of more than 300 µm² or less than 10 µm² are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.cluster.vq import kmeans2
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from restain.errors import RestainError
from restain.images import RGB
from restain.metrics.measures import Marker
from restain.stains import DAB, EOSIN, HEMATOXYLIN, Floats, separate

Labels: TypeAlias = npt.NDArray[np.int32]  # (H, W): 0 is no nucleus, 1..n are the nuclei
Mask: TypeAlias = npt.NDArray[np.bool_]

DEFAULT_MPP = 0.5  # microns per pixel: 20x
MPP_RANGE = (0.1, 1.0)  # beyond 1 µm a lymphocyte is a few pixels
AREA_UM2 = (10.0, 300.0)  # a small lymphocyte is 20 µm²

_CUT_OFF = 0.4  # optical density: a black nucleus counts no more than a blue one, or Otsu would find only the black
_BROWN_SHARE = 0.6  # of the DAB density: brown cytoplasm is paler than a brown nucleus and than most blue ones
_SMOOTHING_UM = 0.75  # standard deviation: bridges clear chromatin
_SURROUNDINGS_UM = 8.0  # standard deviation: a nucleus and its neighbours
_OTSU_SHARE = 0.75  # Otsu lies between dark and light; pale nuclei lie below it
_LEAST_CONTRAST = 0.01  # optical density above the surroundings: less is noise on glass, whatever Otsu says
_OPENING_UM = 0.5
_HOLE_UM2 = 20.0
_LARGE_UM2, _SEVERAL = 150.0, 3.0  # a large tumour nucleus; how many usual ones a clump holds at least
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

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """Centre (y, x) of each nucleus in pixels, (n, 2)."""
        y, x = np.nonzero(self.labels)
        label = self.labels[y, x]
        size = np.bincount(label, minlength=self.count + 1)[1:]
        sums = [np.bincount(label, weights=axis, minlength=self.count + 1)[1:] for axis in (y, x)]
        return np.asarray(np.stack(sums, axis=1) / size[:, None])

    def within(self, inside: Mask) -> Nuclei:
        """Those nuclei whose centre lies inside a mask (H, W)."""
        kept = np.append(False, inside[tuple(np.round(self.centres).astype(np.int64).T)])
        labels = np.where(kept, np.cumsum(kept), 0)[self.labels].astype(np.int32)
        return replace(self, labels=labels, count=int(kept.sum()))


def find_nuclei(rgb: RGB, mpp: float = DEFAULT_MPP, marker: Marker = "nuclear") -> Nuclei:
    """Segment the nuclei of an IHC image.

    Args:
        rgb: uint8 (H, W, 3), haematoxylin and DAB.
        mpp: microns per pixel, 0.1 to 1.
        marker: where the DAB lies. A nucleus may be blue or brown under a nuclear marker, and is blue under the others.

    Raises:
        RestainError: ``mpp`` is out of its range.
    """
    if not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
        raise RestainError(f"mpp: is {mpp}; nuclei can be counted at {MPP_RANGE[0]:g} to {MPP_RANGE[1]:g} µm per pixel")
    amounts = np.maximum(separate(rgb, HEMATOXYLIN, DAB, EOSIN), 0.0)
    blue, brown = amounts[..., 0], amounts[..., 1]
    density = np.maximum(blue, _BROWN_SHARE * brown) if marker == "nuclear" else blue
    signal = ndimage.gaussian_filter(np.minimum(density, _CUT_OFF), _SMOOTHING_UM / mpp)
    labels = _cut_apart(_foreground(signal, mpp), signal, mpp)
    return Nuclei(labels, int(labels.max(initial=0)), brown, mpp)


def _foreground(signal: Floats, mpp: float) -> Mask:
    threshold = _OTSU_SHARE * threshold_otsu(signal)  # type: ignore[no-untyped-call]
    surroundings = ndimage.gaussian_filter(signal, _SURROUNDINGS_UM / mpp)
    mask = (signal > threshold) & (signal > surroundings + _LEAST_CONTRAST)
    mask = ndimage.binary_opening(mask, iterations=max(1, round(_OPENING_UM / mpp)))
    holes, _ = ndimage.label(~mask)
    small = np.bincount(holes.ravel()) * mpp**2 < _HOLE_UM2
    small[0] = False  # not a hole but the foreground
    return np.asarray(mask | small[holes])


def _cut_apart(mask: Mask, signal: Floats, mpp: float) -> Labels:
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask), 0.5 / mpp)
    distance = max(1, round(_APART_UM / mpp))
    peaks = peak_local_max(depth, min_distance=distance, labels=mask, exclude_border=False)  # type: ignore[no-untyped-call]
    seeds = np.zeros(mask.shape, dtype=np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    pieces = watershed(-depth, seeds, mask=mask)  # type: ignore[no-untyped-call]
    pieces = _divide_clumps(pieces, signal, mpp)
    area = np.bincount(pieces.ravel()) * mpp**2
    kept = (area >= AREA_UM2[0]) & (area <= AREA_UM2[1])
    kept[0] = False
    return np.asarray(np.where(kept, np.cumsum(kept), 0)[pieces].astype(np.int32))


def _divide_clumps(pieces: Labels, signal: Floats, mpp: float) -> Labels:
    """Divide pieces too large for one nucleus, and as dense as the nuclei of the field, into pieces of their size."""
    area = np.bincount(pieces.ravel()) * mpp**2
    density = np.bincount(pieces.ravel(), weights=signal.ravel()) / np.maximum(area / mpp**2, 1)
    nucleus = (area >= AREA_UM2[0]) & (area <= AREA_UM2[1])
    nucleus[0] = False
    if not nucleus.any():
        return pieces
    size, usual = np.median(area[nucleus]), np.median(density[nucleus])
    divided, last = pieces.copy(), len(area) - 1
    clump = (area > max(_LARGE_UM2, _SEVERAL * size)) & (density >= usual)
    clump[0] = False
    for label in np.flatnonzero(clump):
        place = np.nonzero(pieces == label)
        points = np.stack(place, axis=1).astype(np.float64)
        count = max(2, round(area[label] / size))
        divided[place] = last + 1 + _parts(points, count)
        last += count
    return divided


def _parts(points: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.int32]:
    """The part 0 to count - 1 of each of the points (n, 2), by k-means that starts along their longest direction."""
    along = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    start = np.argsort(points @ along)[np.linspace(0, len(points) - 1, count + 2).astype(np.int64)[1:-1]]
    return np.asarray(kmeans2(points, points[start], minit="matrix", missing="warn")[1], dtype=np.int32)
