"""Landmarks that an expert set on both slides, and the error that a transform makes at them.

Source: Borovec et al., "ANHIR: Automatic Non-rigid Histological Image Registration Challenge", IEEE Trans. Med. Imaging
39 (2020): rTRE is the distance to the target landmark divided by the diagonal of the target image; robustness is the
share of landmarks that come closer than they were.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path

import numpy as np

from restain.csv_text import read_table
from restain.errors import RestainError, quoted
from restain.registration.transform import Transform
from restain.stains import Floats
from restain.wsi.slide import Slide


@dataclass(frozen=True)
class TargetError:
    """Relative target registration error, as fractions of the IHC image's diagonal, and robustness, 0 to 1."""

    median: float
    mean: float
    p90: float
    robustness: float


def read_landmarks(path: Path) -> Floats:
    """Read ImageJ's CSV: a column without name, X and Y in pixels.

    Returns:
        float64 (n, 2), x and y.

    Raises:
        RestainError: no such file, no columns X and Y, a value that is no number, or no landmark.
    """
    points = []
    for where, row in read_table(path, ("X", "Y")):
        try:
            point = float(row["X"]), float(row["Y"])
        except ValueError:
            point = nan, nan
        if not all(map(isfinite, point)):
            raise RestainError(f"{where}: X is {quoted(row['X'])} and Y {quoted(row['Y'])}; expected two numbers")
        points.append(point)
    if not points:
        raise RestainError(f"{path}: holds no landmarks")
    return np.array(points)


def read_landmark_pair(he: Path, ihc: Path) -> tuple[Floats, Floats]:
    """Both files, which must have one landmark each for the same places.

    Raises:
        RestainError: as ``read_landmarks``, or the numbers of landmarks differ.
    """
    pair = read_landmarks(he), read_landmarks(ihc)
    if len(pair[0]) != len(pair[1]):
        raise RestainError(
            f"{he} and {ihc}: hold {len(pair[0])} and {len(pair[1])} landmarks; expected as many in both"
        )
    return pair


def target_error(transform: Transform, landmarks: tuple[Floats, Floats], he: Slide, ihc: Slide) -> TargetError:
    """The error of a transform at landmarks.

    Args:
        transform: H&E to IHC.
        landmarks: pixels of the H&E and of the IHC, (n, 2) each.
        he: for its microns per pixel.
        ihc: for its microns per pixel and its diagonal.
    """
    source, target = landmarks
    size = ihc.levels[0].size
    diagonal = float(np.hypot(size.width, size.height))
    found = transform.at(source * he.mpp) / ihc.mpp
    after = np.hypot(*(found - target).T) / diagonal
    before = np.hypot(*(source - target).T) / diagonal
    return TargetError(
        float(np.median(after)), float(after.mean()), float(np.percentile(after, 90)), float(np.mean(after < before))
    )
