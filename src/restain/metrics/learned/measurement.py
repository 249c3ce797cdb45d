"""The learned metrics of an evaluation: which can be computed here, and their figures for pairs and for sets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restain.errors import RestainError
from restain.metrics.learned.cache import FeatureCache
from restain.metrics.learned.extraction import Extraction
from restain.metrics.learned.extractor import FeatureExtractor, PerceptualDistance
from restain.metrics.learned.phv import phv
from restain.metrics.learned.resnet50 import CHANNELS
from restain.metrics.learned.rows import LEARNED, PHV_COLUMNS
from restain.metrics.learned.set_scores import SetFigure, fid_figure, kid_figure, kid_of_subsets_figure
from restain.metrics.learned.vectors import Rows
from restain.metrics.protocols import Protocol
from restain.stains import Floats
from restain.tensors import find_device
from restain.weights import HeldWeights, cache_folder, find_weights

_LPIPS = {"lpips_alex": ("alexnet-imagenet", "lpips-alex"), "lpips_vgg": ("vgg16-imagenet", "lpips-vgg")}


@dataclass(frozen=True)
class _Settings:
    """What a protocol decides."""

    kid_network: str
    kid_preparation: str
    kid_of_subsets: bool
    phv_preparation: str


_CLEAN = _Settings("inception-fid", "antialiased-299", False, "imagenet-full-size")
_ASP = _Settings("inception-imagenet", "bilinear-299", True, "imagenet-twice-full-size")


class LearnedMetrics:
    """Computes those of the wanted metrics whose weights this machine has.

    Features are kept on disk by the content of the image file, the network, its weights and the preparation, so that
    no network looks at an image twice; see ``restain.metrics.learned.cache``.

    Args:
        protocol: "clean" has settings of its own, all others those of the evaluation script of ASP (2023).
        wanted: metric names; those that are not learned are passed over.
        seed: of KID's subsets and of those of fid_infinity.
        batch: images per pass of a network that resizes them to 299; full-size images pass one by one.
        device: "auto", "cpu" or "cuda".

    Attributes:
        missing: metric name to the reason that it cannot be computed here; it ends with the command that helps.
        weights: metric name to "name" and "sha256" of its weights (and "heads_sha256" of LPIPS), for the others.

    Raises:
        RestainError: the device is unknown or not there.
    """

    def __init__(
        self, protocol: Protocol, wanted: Collection[str], seed: int, batch: int = 8, device: str = "auto"
    ) -> None:
        self._settings = _CLEAN if protocol.name == "clean" else _ASP
        self._seed, self._device = seed, find_device(device)
        self._extraction = Extraction(FeatureCache(cache_folder()), batch)
        self._held: dict[str, HeldWeights] = {}
        self._extractors: dict[tuple[str, str], FeatureExtractor] = {}  # a network once read serves all systems
        self._distances: dict[str, PerceptualDistance] = {}
        self.missing: dict[str, str] = {}
        self.weights: dict[str, dict[str, str]] = {}
        for metric in LEARNED:
            if metric.name in wanted:
                self._find(metric.name)

    def _find(self, metric: str) -> None:
        network, *heads = self._needs(metric)
        try:
            for name in (network, *heads):
                if name not in self._held:
                    self._held[name] = find_weights(name)
        except RestainError as reason:
            self.missing[metric] = str(reason)
            return
        self.weights[metric] = {"name": network, "sha256": self._held[network].sha256}
        if heads:
            self.weights[metric]["heads_sha256"] = self._held[heads[0]].sha256

    def _needs(self, metric: str) -> tuple[str, ...]:
        if metric == "fid":
            return ("inception-fid",)
        if metric == "kid":
            return (self._settings.kid_network,)
        return _LPIPS.get(metric, ("resnet50-imagenet",))

    def columns(self, real_paths: Sequence[Path], fake_paths: Sequence[Path]) -> dict[str, Floats]:
        """The values per image that the wanted metrics are made of, by column name.

        Args:
            real_paths: n image files.
            fake_paths: n image files, each the virtual stain of the same place.

        Returns:
            float64 (n,) for lpips_alex, lpips_vgg, phv_layer1 ... phv_layer4, those of them that are needed.

        Raises:
            RestainError: a file is not an 8-bit RGB image, or the two of a pair differ in size.
        """
        table = {
            metric: self._extraction.distances(self._distance(metric), real_paths, fake_paths, metric)
            for metric in _LPIPS
            if metric in self.weights
        }
        wanted = {column for metric in LEARNED if metric.name in self.weights for column in metric.columns}
        if wanted & set(PHV_COLUMNS):
            layers = self._phv(real_paths, fake_paths)
            table |= {column: layers[column] for column in PHV_COLUMNS if column in wanted}
        return table

    def sets(self, real_paths: Sequence[Path], fake_paths: Sequence[Path]) -> dict[str, SetFigure]:
        """The figures of the two sets, for those of fid and kid that are wanted and can be computed.

        Args:
            real_paths: n image files.
            fake_paths: m image files, of the same fields in the same order where m = n.

        Raises:
            RestainError: a file is not an 8-bit RGB image.
            NotComputed: a set has fewer than 2 images.
        """
        figures = {}
        if "fid" in self.weights:
            rows = self._features("inception-fid", "bilinear-299", real_paths, fake_paths)
            figures["fid"] = fid_figure(*rows, self._seed)
        if "kid" in self.weights:
            settings = self._settings
            rows = self._features(settings.kid_network, settings.kid_preparation, real_paths, fake_paths)
            figures["kid"] = kid_of_subsets_figure(*rows, self._seed) if settings.kid_of_subsets else kid_figure(*rows)
        return figures

    def _distance(self, metric: str) -> PerceptualDistance:
        network, heads = _LPIPS[metric]
        return self._distances.setdefault(
            metric, PerceptualDistance(self._held[network], self._held[heads], self._device)
        )

    def _features(
        self, network: str, preparation: str, real_paths: Sequence[Path], fake_paths: Sequence[Path]
    ) -> tuple[Rows, Rows]:
        extractor = self._extractors.setdefault(
            (network, preparation), FeatureExtractor(self._held[network], preparation, self._device)
        )
        real = self._extraction.features(extractor, real_paths, f"{network}, real")
        return real, self._extraction.features(extractor, fake_paths, f"{network}, virtual")

    def _phv(self, real_paths: Sequence[Path], fake_paths: Sequence[Path]) -> dict[str, Floats]:
        real, fake = self._features("resnet50-imagenet", self._settings.phv_preparation, real_paths, fake_paths)
        ends = np.cumsum(CHANNELS)[:-1]
        values = []
        for index in range(len(real)):
            layers = (np.split(rows[np.array([index])][0], ends) for rows in (real, fake))
            values.append([phv(one, other) for one, other in zip(*layers, strict=True)])
        return dict(zip(PHV_COLUMNS, np.array(values).T, strict=True))
