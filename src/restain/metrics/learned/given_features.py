"""Scores of feature vectors that the user's own encoder gave: distances of sets, and a linear probe of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

from restain.metrics.learned.frechet import fit_gaussian, frechet_distance
from restain.metrics.learned.kernel import kernel_distance
from restain.metrics.learned.vectors import Rows
from restain.metrics.measures import GivenMeasure, SetScore
from restain.metrics.metric import Metric
from restain.metrics.statistics.bootstrap import NotComputed
from restain.stains import Floats

FOLDS = 5
_PENALTY = 1.0  # of the squared weights against the summed cross-entropy, for features of unit variance
_STEPS = 200
_THOUSANDTHS = 1000.0


def given_frechet(real: Rows, fake: Rows) -> SetScore:
    """Fréchet distance of rows (n, d) and (m, d).

    Raises:
        NotComputed: a set has fewer than 2 rows.
    """
    dimensions = real[np.arange(1)].shape[1]
    few = min(len(real), len(fake)) < dimensions
    note = f"fewer images than the {dimensions} features: too large, compare only at equal n" if few else ""
    return SetScore(frechet_distance(fit_gaussian(real), fit_gaussian(fake)), None, note)


def given_kernel(real: Rows, fake: Rows) -> SetScore:
    """Kernel distance of rows (n, d) and (m, d), in thousandths, over all images.

    Raises:
        NotComputed: a set has fewer than 2 rows.
    """
    return SetScore(_THOUSANDTHS * kernel_distance(real, fake), None, "")


def probe_classes(
    real: Floats, fake: Floats, classes: Sequence[str], groups: npt.NDArray[np.int64] | None
) -> tuple[Floats, Floats]:
    """Does a linear classifier that learned on real stains read the same class from the virtual one?

    A logistic regression is fitted on the real stains of four fifths of the images (of whole groups
    where they are known) and asked about the real and the virtual stains of the last fifth, in turn.

    Args:
        real: (n, d) features of the real stains.
        fake: (n, d) of the virtual stains, in the same order.
        classes: (n,) true classes.
        groups: (n,) the group of each image, such as its slide.

    Returns:
        Two arrays (n,) of 0 and 1, whether the class was right: of the virtual and of the real stains.

    Raises:
        NotComputed: fewer than two classes, or groups than folds.
    """
    names, truth = np.unique(list(classes), return_inverse=True)
    units = np.arange(len(truth)) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(names) < 2:
        raise NotComputed(f"a linear probe needs at least 2 classes, all images are of class {str(names[0])!r}")
    if units.max() + 1 < FOLDS:
        raise NotComputed(f"a linear probe needs at least {FOLDS} images or groups, there are {units.max() + 1}")
    fold = _folds(units, truth)
    right = np.empty((2, len(truth)))
    for number in range(FOLDS):
        held = fold == number
        weights, centre, scale = _fit(real[~held], truth[~held], len(names))
        for row, features in enumerate((fake, real)):
            scores = (features[held] - centre) / scale @ weights[:-1] + weights[-1]
            right[row, held] = scores.argmax(axis=1) == truth[held]
    return right[0], right[1]


def _folds(units: npt.NDArray[np.int64], truth: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The fold of each image: units in turn, in the order of their first image's class, so that folds are mixed."""
    first = {int(unit): int(truth[index]) for index, unit in reversed(list(enumerate(units)))}
    order = sorted(first, key=lambda unit: (first[unit], unit))
    of_unit = {unit: place % FOLDS for place, unit in enumerate(order)}
    return np.array([of_unit[int(unit)] for unit in units])


def _fit(features: Floats, truth: npt.NDArray[np.int64], classes: int) -> tuple[Floats, Floats, Floats]:
    """Weights (d + 1, classes), the last row the constant, and what centres and scales the features."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    scale = np.where(spread > 0, spread, 1.0)
    x = np.hstack([(features - centre) / scale, np.ones((len(features), 1))])
    wanted = np.eye(classes)[truth]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, classes)
        chances = log_softmax(x @ weights, axis=1)
        penalised = np.vstack([weights[:-1], np.zeros((1, classes))])  # the constant is free
        value = -float((wanted * chances).sum()) + _PENALTY * float((penalised**2).sum()) / 2
        return value, (x.T @ (np.exp(chances) - wanted) + _PENALTY * penalised).ravel()

    found = minimize(loss, np.zeros(x.shape[1] * classes), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS})
    return found.x.reshape(-1, classes), centre, scale


_MEASURE = GivenMeasure(option="features")
_PROBE = GivenMeasure(names=("features_probe", "features_probe_real"), option="features")
_SOURCE = "features given with --features"


def _distance(name: str, unit: str, definition: str, source: str) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        direction="lower",
        definition=f"{definition} of the features that were given",
        source=f"{source}; {_SOURCE}",
        measures=(_MEASURE,),
        family="learned",
        range="around 0 for equal distributions",
        weakness="grows as n shrinks; means what the encoder sees; not comparable with published values",
        ballot="given features",
    )


GIVEN_FEATURES = (
    _distance("features_frechet", "", "Fréchet distance", "Heusel et al., NeurIPS 2017"),
    _distance(
        "features_kid",
        "×10⁻³",
        "squared maximum mean discrepancy, cubic kernel, unbiased, over all images,",
        "Bińkowski et al., ICLR 2018",
    ),
    Metric(
        name="features_probe",
        unit="fraction",
        direction="higher",
        definition="share of images whose true class a linear probe, fitted on the features of other real stains, "
        "reads from the features of the virtual stain",
        source=f"own: logistic regression with an L2 penalty of 1, {FOLDS} folds; {_SOURCE}",
        measures=(_PROBE,),
        columns=("features_probe",),
        family="learned",
        range="[0, 1]",
        weakness="high by chance where one class prevails; read it beside features_probe_real",
        ballot="given features",
    ),
    Metric(
        name="features_probe_real",
        unit="fraction",
        direction="none",
        definition="the same from the features of the real stain: what the probe can reach",
        source=_SOURCE,
        measures=(_PROBE,),
        columns=("features_probe_real",),
        family="learned",
        range="[0, 1]",
        weakness="the probe was fitted on real stains of other images",
    ),
)
