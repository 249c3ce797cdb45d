"""Nuclei found against nuclei known: which of them are the same, and how often that is so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from restain.stains import Floats

REACH_UM = 3.0  # from centre to centre: about the radius of a nucleus


@dataclass(frozen=True)
class Matched:
    """Pairs of one nucleus found and one known.

    Attributes:
        found: (k,), numbers of the nuclei found that have a partner.
        known: (k,), numbers of their partners.
        precision: share of the nuclei found that have one; NaN where none is found.
        recall: share of the nuclei known that have one; NaN where none is known.
        f1: harmonic mean of both; NaN where there is nothing on either side.
    """

    found: npt.NDArray[np.int64]
    known: npt.NDArray[np.int64]
    precision: float
    recall: float
    f1: float


def match_centres(found: Floats, known: Floats, reach: float) -> Matched:
    """Pair centres that lie within reach of each other, the nearest first, each at most once.

    Args:
        found: float (n, 2).
        known: float (m, 2), in the same unit.
        reach: largest distance of a pair.
    """
    pairs: list[tuple[int, int]] = []
    if len(found) and len(known):
        near = cKDTree(found).sparse_distance_matrix(cKDTree(known), reach, output_type="ndarray")
        taken: tuple[set[int], set[int]] = (set(), set())
        for first, second in near[np.lexsort((near["j"], near["i"], near["v"]))][["i", "j"]].tolist():
            if first not in taken[0] and second not in taken[1]:
                pairs.append((first, second))
                taken[0].add(first)
                taken[1].add(second)
    chosen = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    either = len(found) + len(known)
    return Matched(
        found=chosen[:, 0],
        known=chosen[:, 1],
        precision=len(chosen) / len(found) if len(found) else float("nan"),
        recall=len(chosen) / len(known) if len(known) else float("nan"),
        f1=2 * len(chosen) / either if either else float("nan"),
    )
