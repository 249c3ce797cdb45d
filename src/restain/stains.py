"""Stain mathematics in numpy: optical density, Beer-Lambert mixing and Ruifrok colour deconvolution.

Source: Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution", Anal. Quant.
Cytol. Histol. 23 (2001). Stain vectors are unit vectors of optical density in R, G, B.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating]

# Fiji's "H DAB" and "H&E" vectors (Colour Deconvolution plugin); normalised on use.
HEMATOXYLIN = (0.650, 0.704, 0.286)
DAB = (0.268, 0.570, 0.776)
EOSIN = (0.072, 0.990, 0.105)


def optical_density(rgb: npt.NDArray[np.uint8]) -> Floats:
    """OD = -log10(I / 255) per channel, with I = 0 read as 1 so that it stays finite.

    Args:
        rgb: uint8 array (..., 3).

    Returns:
        float32 array (..., 3), 0 (glass) to 2.41 (black).
    """
    table = -np.log10(np.maximum(np.arange(256), 1) / 255.0)
    densities: Floats = table.astype(np.float32)[rgb]
    return densities


def stain_matrix(first: tuple[float, ...], second: tuple[float, ...], third: tuple[float, ...] | None = None) -> Floats:
    """Rows: the unit stain vectors, in place of a third the normalised cross product as residual; float64 (3, 3)."""
    rows = np.array([first, second, np.cross(first, second) if third is None else third], dtype=np.float64)
    unit: Floats = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def separate(
    rgb: npt.NDArray[np.uint8],
    first: tuple[float, ...],
    second: tuple[float, ...],
    third: tuple[float, ...] | None = None,
) -> Floats:
    """Ruifrok deconvolution into two stains and a residual, or into three stains.

    Args:
        rgb: uint8 array (..., 3).
        first: OD vector of the first stain, e.g. ``HEMATOXYLIN``.
        second: OD vector of the second stain, e.g. ``DAB``.
        third: OD vector of the third stain, e.g. ``EOSIN``; None for a residual at right angles to both.

    Returns:
        float32 array (..., 3): optical density along each stain vector; may be negative where a colour lies
        outside the cone of the stains.
    """
    unmix = np.linalg.inv(stain_matrix(first, second, third)).astype(np.float32)
    return np.asarray(optical_density(rgb) @ unmix)


def compose(amounts: Floats, vectors: npt.ArrayLike) -> Floats:
    """Beer-Lambert: the light that passes through stains of the given optical densities.

    Args:
        amounts: (..., k) optical density along each of k unit stain vectors, >= 0.
        vectors: (k, 3) stain vectors; normalised here.

    Returns:
        float array (..., 3), transmitted fraction in (0, 1]; 1 is clear glass.
    """
    rows = np.asarray(vectors, dtype=amounts.dtype)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.power(10.0, -(amounts @ rows)))


def tissue_mask(rgb: npt.NDArray[np.uint8], threshold: float = 0.05) -> npt.NDArray[np.bool_]:
    """True where the mean optical density of the three channels exceeds ``threshold`` (0.05: 11 % absorbed)."""
    return np.asarray(optical_density(rgb).mean(axis=-1) > threshold)
