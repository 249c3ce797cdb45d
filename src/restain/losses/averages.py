"""The mean over the images of a batch, in which an image may count less than another."""

from __future__ import annotations

from torch import Tensor


def mean_of_images(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over images of the mean of each image's values, times its weight.

    It is divided by the number of images and not by the sum of the weights, so that a batch of two is two of one.

    Args:
        values: (N, ...).
        weights: (N,), how much each image counts; None: all 1.
    """
    if weights is None:
        return values.mean()
    return (values.reshape(len(values), -1).mean(dim=1) * weights).mean()
