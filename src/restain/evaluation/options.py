"""Choices of an evaluation: which metrics, which images belong together, what of the literature stands beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """Choices of ``evaluate`` that most users leave alone.

    Attributes:
        metrics: names or families of metrics; empty for all that can be computed.
        groups: which images belong together, such as the fields of a slide: "auto" (from the names of MIST and
            HEMIT), "none", a CSV file with the columns id and group, or a regular expression with one group in
            brackets.
        compare_with: data set of the literature whose published scores are shown beside, such as "mist-her2".
        mpp: microns per pixel of the images; None takes it from the data set or the stainer. Cells need it.
        marker: where the DAB is ("nuclear", "membrane", "cytoplasm") or the name of the stain ("ki67"); None takes
            it from the data set or the stainer. Of the scores of cells, only those for this marker vote in the ranks.
        stainer: folder of the stainer or of the run that made the virtual stains; gives mpp and marker.
        mask: folder of masks, named as the images; only cells whose nucleus is where a mask is not 0 are counted.
        repeat: folder of a second section of the truth, stained for real; it is scored beside the baselines as what a
            virtual stain can reach at most, and takes no part in the ranks. None takes that of virtual tissue.
        nuclei: folder of label images of nuclei, named as the images: one set of masks is laid on both stains.
        features: feature vectors of the images by an encoder of the user's own, NPY (n, d) with a CSV file beside it.
        overlays: write what was counted on the real and on each virtual stain, as pictures.
        test: name of one system; only its differences from the others are tested, so that fewer tests share the
            correction. None tests every pair.
        batch: images per pass of a feature network.
        device: of the feature networks: "auto", "cpu" or "cuda".
    """

    metrics: Sequence[str] = ()
    groups: str | Path = "auto"
    compare_with: str | None = None
    mpp: float | None = None
    marker: str | None = None
    stainer: str | Path | None = None
    mask: str | Path | None = None
    repeat: str | Path | None = None
    nuclei: str | Path | None = None
    features: str | Path | None = None
    overlays: bool = False
    test: str | None = None
    batch: int = 8
    device: str = "auto"
