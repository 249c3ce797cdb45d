"""The positivity rule: which cells a marker stains, and how strongly.

A tumour cell has a morphological score m, about N(0, 1), made of what H&E shows: nuclear size,
chromatin coarseness and growth pattern (solid or gland-forming), with the weights in ``RULES``. The marker's
latent value is r m + sqrt(1 - r^2) h, where h is hidden from H&E: a share of its variance is regional (a clone),
the rest is the cell's own. The marker's cuts turn the latent value into stain intensities 0, 1+, 2+ and 3+. Stroma
and lymphocytes are always 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restain.phantoms.field import Array, Integers


@dataclass(frozen=True)
class Rule:
    """How a marker follows morphology.

    Attributes:
        size: weight of nuclear size in the morphological score.
        coarseness: weight of chromatin coarseness.
        solid: weight of solid against gland-forming growth.
        morphology: r, the correlation of the latent value with the morphological score.
        cuts: latent values from which a cell is 1+, 2+, 3+.
        clonal: share of the hidden variance that neighbouring cells have in common.
        membranous: the stain lies on the cell membrane; otherwise in the nucleus.
    """

    size: float
    coarseness: float
    solid: float
    morphology: float
    cuts: tuple[float, float, float]
    clonal: float
    membranous: bool = False

    def score(self, size: Array, coarseness: Array, solid: Array) -> Array:
        """The morphological score m of tumour cells from what H&E shows, each about N(0, 1)."""
        total = self.size * size + self.coarseness * coarseness + self.solid * np.clip(solid, -2.0, 2.0)
        # Size and coarseness share the regional grade (correlation about 0.4).
        variance = self.size**2 + self.coarseness**2 + 0.8 * self.size * self.coarseness + self.solid**2
        return np.asarray(total / np.sqrt(variance))

    def intensity(self, score: Array, hidden: Array) -> Integers:
        """Stain 0..3 of tumour cells, from the score m and the hidden value h."""
        latent = self.morphology * score + np.sqrt(1.0 - self.morphology**2) * hidden
        return np.asarray(np.searchsorted(self.cuts, latent, side="right"), dtype=np.int64)


RULES = {
    # HER2 goes with high nuclear grade and solid growth; whole nests stain alike.
    "her2": Rule(0.45, 0.35, 0.8, 0.80, (-0.30, 0.25, 0.80), clonal=0.85, membranous=True),
    # Hormone receptors go with small, bland nuclei and glands; most tumours express them.
    "er": Rule(-0.6, -0.6, -0.5, 0.80, (-0.45, 0.0, 0.55), clonal=0.6),
    "pr": Rule(-0.5, -0.5, -0.7, 0.70, (0.0, 0.45, 0.95), clonal=0.6),
    # Ki67 marks cycling cells: large nuclei, coarse chromatin; a minority, and on or off rather than graded.
    "ki67": Rule(0.8, 0.7, 0.2, 0.80, (0.60, 0.75, 1.0), clonal=0.3),
}
