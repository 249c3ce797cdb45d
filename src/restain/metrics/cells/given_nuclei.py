"""Cell by cell on nuclei that the user found: one set of masks laid on the real and on the virtual stain.

No segmentation of ours stands between the stain and the score, and a cell is compared with itself. That asks for a
virtual stain and a truth of one section: cells of consecutive sections are others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restain.images import RGB
from restain.metrics.amounts import STEP
from restain.metrics.cells.nuclei import Labels, Nuclei
from restain.metrics.cells.scores import INTENSITY_OD, cell_density
from restain.metrics.measures import GivenMeasure, Marker
from restain.metrics.metric import Metric
from restain.metrics.stain.dab import dab_density
from restain.metrics.statistics.moments import Statistic
from restain.stains import Floats

COLUMNS = ("cells_tp", "cells_fp", "cells_fn", "cells_tn", "cells_above", "cells_below")
_POSITIVE = INTENSITY_OD[0]


def density_under_labels(rgb: RGB, labels: Labels, mpp: float, marker: Marker | None) -> Floats:
    """Mean DAB density of each labelled cell, (n,): of its nucleus, or for other markers of the 3 µm around it.

    Args:
        rgb: uint8 (H, W, 3).
        labels: int32 (H, W), 0 or 1 to n.
        mpp: microns per pixel.
        marker: where the DAB lies; one that is not known is taken as nuclear.
    """
    nuclei = Nuclei(labels, int(labels.max(initial=0)), dab_density(rgb), mpp)
    return cell_density(nuclei, marker or "nuclear")


def compare_cells(real: Sequence[Floats], fake: Sequence[Floats]) -> dict[str, Floats]:
    """Confusion of the cells of each image, and how they rank among the cells of all images.

    A cell is positive from a density of 0.2 on. ``cells_above`` is the sum, over the truly positive cells of an image,
    of the share of all truly negative cells whose virtual density is lower (ties count half); ``cells_below`` the
    reverse for its negative cells. The area under the ROC curve follows from their means, and so does its spread.

    Args:
        real: densities (n,) of the cells, image by image.
        fake: densities of the same cells in the virtual stain.

    Returns:
        float64 (images,) for each of ``COLUMNS``.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); for cells in images, Obuchowski, Biometrics 53
    (1997).
    """
    truth = [one >= _POSITIVE for one in real]
    positive = np.sort(np.concatenate([one[is_so] for one, is_so in zip(fake, truth, strict=True)]))
    negative = np.sort(np.concatenate([one[~is_so] for one, is_so in zip(fake, truth, strict=True)]))
    rows = []
    for known, density in zip(truth, fake, strict=True):
        called = density >= _POSITIVE
        confusion = [known & called, ~known & called, known & ~called, ~known & ~called]
        above = _share_below(negative, density[known])
        below = 1.0 - _share_below(positive, density[~known])
        rows.append([*(int(part.sum()) for part in confusion), above.sum(), below.sum()])
    table = np.array(rows, dtype=np.float64)
    return dict(zip(COLUMNS, table.T, strict=True))


def _share_below(ordered: Floats, values: Floats) -> Floats:
    """Share of the ordered numbers below each value, ties counted half; 0 where there are none."""
    lower, upper = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    return np.asarray((lower + upper) / 2 / max(len(ordered), 1))


def _columns(*columns: Floats) -> Floats:
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns])


def _ratio(part: Floats, whole: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(whole > 0, part / whole, np.nan))


def _auroc_features(tp: Floats, fp: Floats, fn: Floats, tn: Floats, above: Floats, below: Floats) -> Floats:
    rows = _columns(tp + fn, fp + tn, above, below)
    whole = _ratio(above.sum(axis=-1), (tp + fn).sum(axis=-1))
    return np.concatenate([rows, np.broadcast_to(whole[..., None], above.shape)[None]])


def _auroc(means: Floats, n: Floats | int) -> Floats:
    # Of a resample to first order (the projection of Hájek); of the set itself exact: both shares are the area.
    positive, negative, above, below, whole = means
    return np.asarray(np.clip(_ratio(above, positive) + _ratio(below, negative) - whole, 0.0, 1.0))


def _balanced_accuracy(means: Floats, n: Floats | int) -> Floats:
    tp, fp, fn, tn = means
    return np.asarray((_ratio(tp, tp + fn) + _ratio(tn, tn + fp)) / 2)


def _f1(means: Floats, n: Floats | int) -> Floats:
    tp, fp, fn = means
    return _ratio(2 * tp, 2 * tp + fp + fn)


_MEASURE = GivenMeasure(names=COLUMNS, option="nuclei")


def _row(name: str, columns: tuple[str, ...], statistic: Statistic, definition: str, weakness: str) -> Metric:
    return Metric(
        name=name,
        direction="higher",
        definition=f"{definition}; a cell is positive from a mean DAB density of 0.2 on, of its nucleus or, for other "
        "markers, of the 3 µm around it; all cells of all images together",
        source="nuclei given with --nuclei",
        measures=(_MEASURE,),
        columns=columns,
        statistic=statistic,
        family="cells",
        range="[0, 1]",
        weakness=f"{weakness}; needs a virtual stain and a truth of one section",
        ballot="given nuclei",
        step=STEP,
    )


GIVEN_NUCLEI = (
    _row(
        "cell_auroc",
        COLUMNS,
        Statistic(_auroc_features, _auroc, scale="log"),
        "area under the ROC curve of the virtual density of cells, for those that are positive in the real stain",
        "blind to the amount of stain; chance is 0.5",
    ),
    _row(
        "cell_balanced_accuracy",
        COLUMNS[:4],
        Statistic(_columns, _balanced_accuracy, scale="log"),
        "mean of sensitivity and specificity of the virtual stain, cell by cell",
        "asks for the right amount at the threshold alone; chance is 0.5",
    ),
    _row(
        "cell_f1",
        COLUMNS[:3],
        Statistic(_columns, _f1, scale="log"),
        "F1 score of positive cells, virtual against real",
        "high by chance where most cells are positive",
    ),
)
