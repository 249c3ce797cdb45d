"""Laboratory and scanner: what differs between two slides of the same tissue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from restain.images import RGB
from restain.phantoms.field import Array, hash_normal
from restain.phantoms.section import View
from restain.stains import DAB, HEMATOXYLIN
from restain.types import mix_seed

_EOSIN = (0.13, 0.84, 0.44)  # between Fiji's eosin and the pinks of scanned slides
_HE_HEMATOXYLIN = (0.60, 0.72, 0.34)


@dataclass(frozen=True)
class Style:
    """How one laboratory stained and scanned one slide.

    Attributes:
        he_vectors: (2, 3) unit optical-density vectors of haematoxylin and eosin in the H&E.
        ihc_vectors: (2, 3) of haematoxylin and DAB in the IHC.
        he_strength: (haematoxylin, eosin) relative to the standard recipe.
        ihc_strength: (haematoxylin, DAB).
        basophilia: haematoxylin in tumour cytoplasm, optical density.
        background: unspecific DAB in tumour cytoplasm, optical density.
        he_white: transmitted fraction of bare glass per channel, H&E.
        ihc_white: the same, IHC.
    """

    he_vectors: npt.NDArray[np.float64]
    ihc_vectors: npt.NDArray[np.float64]
    he_strength: tuple[float, float]
    ihc_strength: tuple[float, float]
    basophilia: float
    background: float
    he_white: npt.NDArray[np.float64]
    ihc_white: npt.NDArray[np.float64]

    def values(self) -> dict[str, Any]:
        """The same as plain numbers and lists, for JSON."""
        return {name: np.asarray(value).round(6).tolist() for name, value in vars(self).items()}

    @staticmethod
    def draw(key: int, laboratory: int = 0) -> Style:
        """The random style of a slide of a laboratory."""
        rng = np.random.default_rng(mix_seed(key, 5))

        def vectors(*stains: tuple[float, float, float]) -> npt.NDArray[np.float64]:
            rows = np.array(stains) + rng.normal(0.0, 0.018, size=(len(stains), 3))
            rows = np.maximum(rows, 0.0)
            return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))

        def strengths(spread: float) -> tuple[float, float]:
            first, second = np.exp(rng.normal(0.0, spread, size=2))
            return float(first), float(second)

        drawn = Style(
            he_vectors=vectors(_HE_HEMATOXYLIN, _EOSIN),
            ihc_vectors=vectors(HEMATOXYLIN, DAB),
            he_strength=strengths(0.12),
            ihc_strength=strengths(0.10),
            basophilia=float(rng.uniform(0.06, 0.17)),
            background=float(rng.uniform(0.0, 0.035)),
            he_white=0.965 + rng.uniform(-0.02, 0.02) + rng.uniform(-0.006, 0.006, size=3),
            ihc_white=0.97 + rng.uniform(-0.015, 0.015) + rng.uniform(-0.006, 0.006, size=3),
        )
        return drawn if laboratory == 0 else drawn._moved_to(laboratory)

    def _moved_to(self, laboratory: int) -> Style:
        """The slide with the habits of another laboratory, the same for all of its slides; H&E only."""
        rng = np.random.default_rng(mix_seed(laboratory, "laboratory"))
        vectors = np.maximum(self.he_vectors + rng.normal(0.0, 0.06, size=(2, 3)), 0.0)
        first, second = np.exp(rng.normal(0.0, 0.35, size=2))
        return replace(
            self,
            he_vectors=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
            he_strength=(self.he_strength[0] * float(first), self.he_strength[1] * float(second)),
            he_white=self.he_white - rng.uniform(0.0, 0.06, size=3),
        )


@dataclass(frozen=True)
class Scanner:
    """The instrument.

    Attributes:
        blur: standard deviation of the point spread, pixels.
        noise: standard deviation of the noise on white, grey levels of 255; darker pixels have less, as photons do.
    """

    blur: float
    noise: float

    @property
    def halo(self) -> int:
        """Pixels around a window that its blur needs."""
        return int(np.ceil(3.0 * self.blur)) + 1

    def scan(self, light: Array, view: View, key: int) -> RGB:
        """Image of a window, from transmitted light (h + 2 halo, w + 2 halo, 3) in 0..1 with its halo."""
        if self.blur > 0:
            light = ndimage.gaussian_filter(light, (self.blur, self.blur, 0), truncate=3.0)
        core = light[self.halo : self.halo + view.height, self.halo : self.halo + view.width]
        levels = 255.0 * core
        if self.noise > 0:
            rows = np.arange(view.top, view.top + view.height)[:, None]
            columns = np.arange(view.left, view.left + view.width)[None, :]
            grain = [hash_normal(mix_seed(key, channel), rows, columns) for channel in range(3)]
            levels = levels + self.noise * np.sqrt(core) * np.stack(grain, axis=-1)
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
