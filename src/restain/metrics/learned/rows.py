"""The registry's rows of the metrics that look through a trained network; ``restain.metrics.learned`` computes them."""

from __future__ import annotations

import numpy as np

from restain.metrics.metric import Metric
from restain.stains import Floats

PHV_COLUMNS = ("phv_layer1", "phv_layer2", "phv_layer3", "phv_layer4")

_NATURAL_IMAGES = "the network was trained on photographs, not on tissue"


def average_of_layers(*layers: Floats) -> Floats:
    """Mean of the columns, image by image."""
    return np.asarray(np.mean(layers, axis=0))


def _phv(name: str, what: str, columns: tuple[str, ...]) -> Metric:
    return Metric(
        name=name,
        unit="",
        direction="lower",
        definition=f"share of ResNet-50 channels whose spatial mean differs by more than 0.01, {what}",
        source="Li et al., MICCAI 2023, public evaluation script",
        columns=columns,
        combine=average_of_layers,
        family="learned",
        range="[0, 1]",
        weakness="blind to where things are; the threshold is absolute, and the asp2023 protocol halves the "
        f"contrast by normalising twice; {_NATURAL_IMAGES}",
    )


def _lpips(name: str, network: str) -> Metric:
    return Metric(
        name=name,
        unit="",
        direction="lower",
        definition=f"learned perceptual distance through {network}, version 0.1, at full size",
        source="Zhang et al., CVPR 2018",
        columns=(name,),
        family="learned",
        range="[0, ∞), seldom above 1",
        weakness=f"depends on the size of the image and the network, so name both; {_NATURAL_IMAGES}",
        undefined="the image is smaller than the network can take",
    )


LEARNED: tuple[Metric, ...] = (
    _lpips("lpips_alex", "AlexNet"),
    _lpips("lpips_vgg", "VGG16"),
    *(_phv(column, f"layer {layer}", (column,)) for layer, column in enumerate(PHV_COLUMNS, start=1)),
    _phv("phv_avg", "mean of layers 1 to 4", PHV_COLUMNS),
    Metric(
        name="fid",
        unit="",
        direction="lower",
        definition="Fréchet distance of the 2048 pooled features of the FID Inception, bilinear resize to 299",
        source="Heusel et al., NeurIPS 2017; pytorch-fid",
        level="set",
        family="learned",
        range="[0, ∞)",
        weakness="grows as n shrinks, so compare at equal n; an image says nothing by itself; "
        f"the resize without antialiasing drops most of a large image; {_NATURAL_IMAGES}",
    ),
    Metric(
        name="kid",
        unit="×10⁻³",
        direction="lower",
        definition="squared maximum mean discrepancy of Inception features, cubic kernel, unbiased; clean: FID "
        "Inception, antialiased resize, all images, products of one field left out; asp2023: ImageNet Inception, "
        "mean of 100 subsets of min(n, 100)",
        source="Bińkowski et al., ICLR 2018; public evaluation script of ASP (2023)",
        level="set",
        family="learned",
        range="around 0 for equal distributions, can be negative",
        weakness=f"two protocols see it through different networks; {_NATURAL_IMAGES}",
    ),
)
