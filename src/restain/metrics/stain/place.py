"""Is the DAB where it should be? Scores that tolerate the displacement of consecutive sections.

The other scores of the stain are one number per image: an IHC turned by 180 degrees has them all right. Tiles of 32 µm
and a reach of 8 µm are larger than what registration leaves (some micrometres) and than single cells, which differ
between sections, and smaller than the nests and glands that do not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from restain.metrics.amounts import STEP
from restain.metrics.measures import MeasuredImage, MeasuredPair, PairMeasure
from restain.metrics.metric import Metric
from restain.metrics.stain.dab import POSITIVE_OD, density_of
from restain.metrics.statistics.averages import pearson
from restain.stains import Floats

TILE_UM = 32.0  # side of a tile of ``tile_means``
NEAR_UM = 8.0  # how far a positive pixel may lie from one of the other image
ASSUMED_MPP = 0.5  # microns per pixel where it is not known: 20x; a tolerance need not be exact
LEAST_TILES = 9  # fewer say nothing of a correlation

Mask = npt.NDArray[np.bool_]


def tile_means(density: Floats, mpp: float) -> Floats:
    """Mean of each tile of 32 µm.

    Args:
        density: float (H, W).
        mpp: microns per pixel.

    Returns:
        float64 (n,), tile after tile; what is left over of an image at its right and lower border is shared among its
        tiles, so that they cover it. Empty where not even one tile fits.
    """
    edges = [_edges(size, TILE_UM / mpp) for size in density.shape]
    if min(map(len, edges)) < 2:
        return np.empty(0)
    sums = np.add.reduceat(density.astype(np.float64), edges[0][:-1], axis=0)
    sums = np.add.reduceat(sums, edges[1][:-1], axis=1)
    return np.asarray(sums / np.outer(np.diff(edges[0]), np.diff(edges[1]))).ravel()


def _edges(size: int, tile: float) -> npt.NDArray[np.int64]:
    count = int(size // tile)
    return np.round(np.linspace(0, size, count + 1)).astype(np.int64) if count else np.zeros(1, np.int64)


def grid_correlation(real: Floats, fake: Floats) -> float:
    """Pearson's r of the tile means (n,) of a field, real and virtual.

    Returns:
        [-1, 1]; 0 where the virtual stain is the same everywhere; NaN where the real one is, or of fewer than 9 tiles.
    """
    if len(real) < LEAST_TILES or np.isnan(pearson(real, real)):
        return float("nan")
    r = float(pearson(real, fake))
    return 0.0 if np.isnan(r) else r


def near_f(real: Mask, fake: Mask, near_real: Mask, near_fake: Mask) -> float:
    """F score of positive pixels that have a positive pixel of the other image within reach.

    Args:
        real: bool (H, W), positive pixels of the real stain.
        fake: those of the virtual stain.
        near_real: pixels within reach of a positive pixel of the real stain.
        near_fake: those of the virtual stain.

    Returns:
        [0, 1], the harmonic mean of precision (virtual pixels near a real one) and recall (real pixels near a virtual
        one); 0 where only one side has any; NaN where neither has.
    """
    if not real.any() and not fake.any():
        return float("nan")
    if not real.any() or not fake.any():
        return 0.0
    precision, recall = float(near_real[fake].mean()), float(near_fake[real].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def overlap(real: Mask, fake: Mask) -> tuple[float, float, float, float]:
    """Dice, IoU, true positive rate and true negative rate of the virtual mask; NaN where a denominator is 0."""
    both, either = int((real & fake).sum()), int((real | fake).sum())
    of_real, of_fake, size = int(real.sum()), int(fake.sum()), real.size
    nan = float("nan")
    return (
        2 * both / (of_real + of_fake) if either else nan,
        both / either if either else nan,
        both / of_real if of_real else nan,
        (size - either) / (size - of_real) if of_real < size else nan,
    )


def _tiles(image: MeasuredImage) -> Floats:
    return tile_means(image.once(density_of), image.mpp or ASSUMED_MPP)


def _positive(image: MeasuredImage) -> Mask:
    return np.asarray(image.once(density_of) >= POSITIVE_OD)


def _near(image: MeasuredImage) -> Mask:
    """Pixels within 8 µm of a positive one."""
    positive = image.once(_positive)
    if not positive.any():
        return positive
    return np.asarray(ndimage.distance_transform_edt(~positive) <= NEAR_UM / (image.mpp or ASSUMED_MPP))


def _measure_near(pair: MeasuredPair) -> tuple[float]:
    masks = [image.once(part) for part in (_positive, _near) for image in (pair.real, pair.fake)]
    return (near_f(*masks),)


_RUIFROK_MASK = "pixels with DAB density of at least 0.2"
_GRID = PairMeasure(
    names=("dab_grid_r",),
    function=lambda pair: (grid_correlation(pair.real.once(_tiles), pair.fake.once(_tiles)),),
)
_NEAR = PairMeasure(names=("dab_near_f",), function=_measure_near)
_OVERLAP = PairMeasure(
    names=("dab_dice", "dab_iou", "dab_tpr", "dab_tnr"),
    function=lambda pair: overlap(pair.real.once(_positive), pair.fake.once(_positive)),
)

GRID_R = Metric(
    name="dab_grid_r",
    direction="higher",
    definition="Pearson's r of mean DAB density over tiles of 32 µm within a field, mean over fields",
    source="own; chance is 0",
    measures=(_GRID,),
    columns=("dab_grid_r",),
    family="place",
    range="[-1, 1]",
    weakness="blind to the amount of stain and to what is finer than 32 µm; noisy where a field is stained evenly",
    undefined="the real stain is the same in all tiles of 32 µm, or a field has fewer than 9 of them",
    step=STEP,
)
NEAR_F = Metric(
    name="dab_near_f",
    direction="higher",
    definition=f"F score of {_RUIFROK_MASK} that have one of the other image within 8 µm",
    source="own; boundary F score of Martin et al., IEEE TPAMI 26 (2004), applied to areas",
    measures=(_NEAR,),
    columns=("dab_near_f",),
    family="place",
    range="[0, 1]",
    weakness="chance grows with the stained area: above half of the field it means little",
    undefined="no pixel is positive on either side",
    step=STEP,
)


def _of_overlap(name: str, definition: str, weakness: str, votes: bool) -> Metric:
    return Metric(
        name=name,
        direction="higher",
        definition=f"{definition} of {_RUIFROK_MASK}, per image",
        source="Dice, Ecology 26 (1945); Jaccard (1912)",
        measures=(_OVERLAP,),
        columns=(name,),
        family="place",
        range="[0, 1]",
        weakness=f"{weakness}; needs agreement to the pixel, which consecutive sections do not have",
        undefined="the mask that is divided by is empty in every image",
        ballot="dab_overlap",
        step=STEP,
        votes=votes,
    )


DICE = _of_overlap("dab_dice", "Dice coefficient", "chance grows with the stained area", votes=True)
IOU = _of_overlap("dab_iou", "intersection over union", "a monotone function of Dice in each image", votes=True)
TPR = _of_overlap("dab_tpr", "true positive rate", "1 where everything is stained; read it beside dab_tnr", votes=False)
TNR = _of_overlap("dab_tnr", "true negative rate", "1 for a blank image; read it beside dab_tpr", votes=False)
