"""LPIPS and ST-LPIPS: the weighted squared distance of normalised feature maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from restain.metrics.learned.vectors import PHOTOGRAPHS
from restain.metrics.measures import DistanceMeasure
from restain.metrics.metric import Metric

if TYPE_CHECKING:
    import torch

_EPSILON = 1e-10
_TINY = 1e-20  # under the root, whose slope at 0 is infinite; nothing beside any response


def lpips_distance(
    real: Iterable[torch.Tensor], fake: Iterable[torch.Tensor], heads: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Sum over layers of the spatial mean of sum_c w_c (r_c/|r| - f_c/|f|)².

    Args:
        real: for each layer float (N, C, h, w), the rectified responses to the real stain.
        fake: the same for the virtual stain.
        heads: for each layer float (C,), the learned weights w, none negative.

    Returns:
        float (N,), >= 0; 0 for equal images.

    Source: Zhang et al., CVPR 2018, Eq. 1, version 0.1 of its public code.
    """
    import torch  # here, so that metrics can be listed without it

    distances = []
    for r, f, weights in zip(real, fake, heads, strict=True):
        difference = _normalised(r).sub_(_normalised(f)).square_()
        distances.append(torch.einsum("nchw,c->nhw", difference, weights).mean(dim=(1, 2)))
    return torch.stack(distances).sum(dim=0)


def _normalised(responses: torch.Tensor) -> torch.Tensor:
    return responses / ((responses.square().sum(dim=1, keepdim=True) + _TINY).sqrt() + _EPSILON)


def _row(name: str, definition: str, network: str, heads: str) -> Metric:
    return Metric(
        name=name,
        direction="lower",
        definition=definition,
        source="Zhang et al., CVPR 2018",
        measures=(DistanceMeasure(name=name, network=network, heads=heads),),
        columns=(name,),
        family="learned",
        range="[0, ∞), seldom above 1",
        weakness=f"depends on the size of the image and the network, so name both; {PHOTOGRAPHS}",
        undefined="the image is smaller than the network can take",
        ballot="lpips",
    )


def _plain(name: str, title: str, network: str, heads: str) -> Metric:
    return _row(name, f"learned perceptual distance through {title}, version 0.1, at full size", network, heads)


def _tolerant(name: str, title: str, weights: str) -> Metric:
    return replace(
        _row(
            name,
            f"shift-tolerant learned perceptual distance through a blurred {title}, at full size",
            weights,
            weights,
        ),
        source="Ghildyal and Liu, ECCV 2022 (ST-LPIPS)",
        weakness=f"forgives a stain that is a few pixels off, as consecutive sections do; {PHOTOGRAPHS}",
        ballot="st_lpips",
    )


LPIPS_ALEX = _plain("lpips_alex", "AlexNet", "alexnet-imagenet", "lpips-alex")
LPIPS_VGG = _plain("lpips_vgg", "VGG16", "vgg16-imagenet", "lpips-vgg")
ST_LPIPS_ALEX = _tolerant("st_lpips_alex", "AlexNet", "st-lpips-alex")
ST_LPIPS_VGG = _tolerant("st_lpips_vgg", "VGG16", "st-lpips-vgg")
