"""Perceptual hash value: the share of a network's channels whose mean response differs."""

from __future__ import annotations

import numpy as np

from restain.stains import Floats

THRESHOLD = 0.01


def phv(real: Floats, fake: Floats, threshold: float = THRESHOLD) -> float:
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
