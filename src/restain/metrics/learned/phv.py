"""Perceptual hash value: the share of a network's channels whose mean response differs."""

from __future__ import annotations

import numpy as np

from restain.metrics.learned.vectors import PHOTOGRAPHS
from restain.metrics.measures import FeatureMeasure
from restain.metrics.metric import Metric
from restain.metrics.protocols import Protocol
from restain.stains import Floats

CHANNELS = (256, 512, 1024, 2048)  # of ResNet-50's four stages, one behind the other in a feature vector
PHV_COLUMNS = ("phv_layer1", "phv_layer2", "phv_layer3", "phv_layer4")


def phv(real: Floats, fake: Floats, threshold: float = 0.01) -> float:
    """Fraction of channels with |mean response, real - virtual| > threshold.

    Args:
        real: float (channels,), the spatial mean of one layer's output for the real stain.
        fake: the same for the virtual stain.
        threshold: in units of the response.

    Returns:
        A number in [0, 1]; lower is more alike.

    Source: Li et al., Adaptive Supervised PatchNCE, MICCAI 2023, public evaluation script; Liu et al. (2021) report the
    complement.
    """
    return float((np.abs(np.asarray(real) - fake) > threshold).mean())


def average_of_layers(*layers: Floats) -> Floats:
    """Mean of the columns, image by image."""
    return np.asarray(np.mean(layers, axis=0))


def _measure(real: Floats, fake: Floats, protocol: Protocol) -> list[float]:
    assert protocol.phv is not None
    ends = np.cumsum(CHANNELS)[:-1]
    layers = zip(np.split(real, ends), np.split(fake, ends), strict=True)
    return [phv(one, other, protocol.phv.threshold) for one, other in layers]


_LAYERS = FeatureMeasure(
    names=PHV_COLUMNS, features=lambda protocol: protocol.phv.features if protocol.phv else None, function=_measure
)


def _row(name: str, what: str, columns: tuple[str, ...]) -> Metric:
    return Metric(
        name=name,
        direction="lower",
        definition=f"share of ResNet-50 channels whose spatial mean differs by more than 0.01, {what}",
        source="Li et al., MICCAI 2023, public evaluation script",
        measures=(_LAYERS,),
        columns=columns,
        combine=average_of_layers,
        family="learned",
        range="[0, 1]",
        weakness="blind to where things are; the threshold is absolute, and the asp2023 protocol halves the "
        f"contrast by normalising twice; {PHOTOGRAPHS}",
        ballot="phv",
    )


PHV = (
    *(_row(column, f"layer {layer}", (column,)) for layer, column in enumerate(PHV_COLUMNS, start=1)),
    _row("phv_avg", "mean of layers 1 to 4", PHV_COLUMNS),
)
