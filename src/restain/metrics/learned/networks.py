"""The learned metrics of an evaluation: which can be computed here, and their scores for pairs and for sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from restain.errors import RestainError
from restain.metrics.learned.cache import FeatureCache
from restain.metrics.learned.extraction import Extraction
from restain.metrics.learned.extractor import FeatureExtractor, PerceptualDistance
from restain.metrics.learned.vectors import Rows
from restain.metrics.measures import DistanceMeasure, FeatureMeasure, Measure, SetMeasure, SetScore
from restain.metrics.metric import Metric
from restain.metrics.protocols import FeatureSettings, Protocol
from restain.stains import Floats
from restain.tensors import find_device
from restain.weights import HeldWeights, cache_folder, find_weights


class LearnedMetrics:
    """Computes those of the wanted metrics whose weights this machine has and which the protocol defines.

    Features are kept on disk by the content of the image file, the network, its weights and the preparation, so that
    no network looks at an image twice; see ``restain.metrics.learned.cache``.

    Args:
        protocol: names the network, the preparation and the estimator of each metric.
        metrics: those that are wanted; what is not learned is passed over.
        seed: of KID's subsets and of those of fid_infinity.
        batch: images per pass of a network that resizes them to 299; full-size images pass one by one.
        device: "auto", "cpu" or "cuda".

    Attributes:
        missing: metric name to the reason that it cannot be computed here; where a file is missing it ends with the
            command that helps.
        weights: metric name to "name" and "sha256" of its weights (and "heads_sha256" of LPIPS), for the others.

    Raises:
        RestainError: the device is unknown or not there.
    """

    def __init__(
        self, protocol: Protocol, metrics: Sequence[Metric], *, seed: int, batch: int = 8, device: str = "auto"
    ) -> None:
        self._protocol, self._seed, self._device = protocol, seed, find_device(device)
        self._extraction = Extraction(FeatureCache(cache_folder()), batch)
        self._held: dict[str, HeldWeights] = {}
        self._extractors: dict[FeatureSettings, FeatureExtractor] = {}  # a network once read serves all systems
        self._distances: dict[str, PerceptualDistance] = {}
        self._metrics: list[Metric] = []
        self.missing: dict[str, str] = {}
        self.weights: dict[str, dict[str, str]] = {}
        for metric in metrics:
            if any(isinstance(measure, DistanceMeasure | FeatureMeasure | SetMeasure) for measure in metric.measures):
                self._find(metric)

    def _find(self, metric: Metric) -> None:
        names = [name for measure in metric.measures for name in self._needs(measure)]
        if not names:
            self.missing[metric.name] = f"the protocol {self._protocol.name} does not define it"
            return
        try:
            for name in names:
                if name not in self._held:
                    self._held[name] = find_weights(name)
        except RestainError as reason:
            self.missing[metric.name] = str(reason)
            return
        network, *heads = names
        self._metrics.append(metric)
        self.weights[metric.name] = {"name": network, "sha256": self._held[network].sha256}
        if heads:
            self.weights[metric.name]["heads_sha256"] = self._held[heads[0]].sha256

    def _needs(self, measure: Measure) -> list[str]:
        """Names of the weight files of a measure; none where the protocol does not define it."""
        if isinstance(measure, DistanceMeasure):
            sections = (self._protocol.lpips, self._protocol.st_lpips)
            defined = any(measure.network in one.networks for one in sections if one)
            return [measure.network, measure.heads] if defined else []
        if isinstance(measure, FeatureMeasure | SetMeasure):
            settings = measure.features(self._protocol)
            return [settings.network] if settings else []
        return []

    @property
    def of_sets(self) -> list[str]:
        """Names of those metrics that can be computed and exist for sets alone."""
        return [metric.name for metric in self._metrics if not metric.columns]

    def columns(self, real_paths: Sequence[Path], fake_paths: Sequence[Path]) -> dict[str, Floats]:
        """The values per image that the wanted metrics are made of, by column name.

        Args:
            real_paths: n image files.
            fake_paths: n image files, each the virtual stain of the same place.

        Returns:
            float64 (n,) for each column that is needed, such as lpips_alex or phv_layer1.

        Raises:
            RestainError: a file is not an 8-bit RGB image, or the two of a pair differ in size.
        """
        table: dict[str, Floats] = {}
        for measure in dict.fromkeys(measure for metric in self._metrics for measure in metric.measures):
            if isinstance(measure, DistanceMeasure):
                distance = self._distance(measure)
                table[measure.name] = self._extraction.distances(distance, real_paths, fake_paths, measure.name)
            elif isinstance(measure, FeatureMeasure):
                table |= self._of_features(measure, real_paths, fake_paths)
        wanted = {column for metric in self._metrics for column in metric.columns}
        return {column: values for column, values in table.items() if column in wanted}

    def sets(self, real_paths: Sequence[Path], fake_paths: Sequence[Path]) -> dict[str, SetScore]:
        """The scores of the two sets, for those of the wanted metrics that exist for sets alone.

        Args:
            real_paths: n image files.
            fake_paths: m image files, of the same fields in the same order where m = n.

        Raises:
            RestainError: a file is not an 8-bit RGB image.
            NotComputed: a set has fewer than 2 images.
        """
        scores = {}
        for metric in self._metrics:
            for measure in metric.measures:
                if isinstance(measure, SetMeasure):
                    rows = self._features(measure, real_paths, fake_paths)
                    scores[metric.name] = measure.function(*rows, self._protocol, self._seed)
        return scores

    def _distance(self, measure: DistanceMeasure) -> PerceptualDistance:
        weights = self._held[measure.network], self._held[measure.heads]
        return self._distances.setdefault(measure.name, PerceptualDistance(*weights, self._device))

    def _features(
        self, measure: FeatureMeasure | SetMeasure, real_paths: Sequence[Path], fake_paths: Sequence[Path]
    ) -> tuple[Rows, Rows]:
        settings = measure.features(self._protocol)
        assert settings is not None  # else the metric is among the missing
        held = self._held[settings.network]
        extractor = self._extractors.setdefault(settings, FeatureExtractor(held, settings.preparation, self._device))
        real = self._extraction.features(extractor, real_paths, f"{settings.network}, real")
        return real, self._extraction.features(extractor, fake_paths, f"{settings.network}, virtual")

    def _of_features(
        self, measure: FeatureMeasure, real_paths: Sequence[Path], fake_paths: Sequence[Path]
    ) -> dict[str, Floats]:
        real, fake = self._features(measure, real_paths, fake_paths)
        values = [
            measure.function(real[index][0], fake[index][0], self._protocol) for index in np.arange(len(real))[:, None]
        ]
        return dict(zip(measure.names, np.array(values, dtype=np.float64).T, strict=True))
