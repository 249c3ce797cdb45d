"""The one list of metrics: chosen by name or family, and explained.

A new metric is a row beside its function, and its name in ``CATALOGUE``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from restain.errors import RestainError, meant, refuse_text
from restain.metrics.cells import counts, given_nuclei
from restain.metrics.learned import frechet, given_features, kernel, lpips, phv
from restain.metrics.metric import Metric
from restain.metrics.pixels import multiscale, similarity, tolerance
from restain.metrics.stain import correlation, dab, histogram, place

CATALOGUE: tuple[Metric, ...] = (  # in the order in which they are shown
    similarity.SSIM,
    similarity.PSNR,
    multiscale.MS_SSIM,
    tolerance.SSIM_SHIFT,
    tolerance.SSIM_SHIFT_PX,
    *dab.MEAN_OD,
    *dab.POSITIVE_AREA,
    *dab.INTEGRATED_DENSITY,
    *histogram.TOP_DECILE,
    histogram.HISTOGRAM_JSD,
    histogram.HISTOGRAM_KL,
    place.GRID_R,
    place.NEAR_F,
    place.DICE,
    place.IOU,
    place.TPR,
    place.TNR,
    correlation.R_CONTENT,
    correlation.R_PATHOLOGY,
    correlation.R_AVG,
    *counts.NUCLEAR_AREA,
    *counts.NUCLEI_COUNT,
    *counts.POSITIVE_INDEX,
    *counts.H_SCORE,
    *counts.HER2_BAND,
    *counts.AT_CUT_OFFS,
    *given_nuclei.GIVEN_NUCLEI,
    lpips.LPIPS_ALEX,
    lpips.LPIPS_VGG,
    lpips.ST_LPIPS_ALEX,
    lpips.ST_LPIPS_VGG,
    *phv.PHV,
    frechet.FID,
    frechet.FID_TF,
    kernel.KID,
    kernel.KID_PAIRED,
    *given_features.GIVEN_FEATURES,
)
_R_AVERAGE = ("r_content", "r_avg", "r_pathology")  # a copied H&E has r_content 1 and half of r_avg with it
_BETTER = {"higher": "higher is better", "lower": "lower is better", "none": "describes; neither is better"}


def select_metrics(words: Iterable[str] = ()) -> tuple[Metric, ...]:
    """The metrics of these names and families, in the order of the catalogue; all of them for no words.

    Who asks for ``r_content`` or ``r_avg`` gets ``r_pathology`` too, and each other: they mislead when read alone.

    Raises:
        RestainError: a word is neither a metric nor a family, or the words are one text.
    """
    refuse_text("metrics", words)
    wanted = {word.strip() for word in words if word.strip()}
    families = list(dict.fromkeys(metric.family for metric in CATALOGUE))
    every = [metric.name for metric in CATALOGUE]
    unknown = sorted(wanted - {*every, *families})
    if unknown:
        near = meant(unknown[0], [*families, *every])
        raise RestainError(
            f"metrics: {unknown[0]!r} is not known{near}; expected families ({', '.join(families)}) or names "
            f"({', '.join(every)})"
        )
    names = {metric.name for metric in CATALOGUE if not wanted or {metric.name, metric.family} & wanted}
    if names & set(_R_AVERAGE[:2]):
        names |= set(_R_AVERAGE)
    return tuple(metric for metric in CATALOGUE if metric.name in names)


def explain(name: str) -> str:
    """Definition, range, direction, source and weakness of a metric, as text; "all" lists the metrics.

    Raises:
        RestainError: there is no such metric.
    """
    if name == "all":
        width = max(len(metric.name) for metric in CATALOGUE)
        return "\n".join(f"{metric.name:{width}}  {metric.family:7}  {metric.definition}" for metric in CATALOGUE)
    found = [metric for metric in select_metrics([name]) if name in (metric.name, metric.family)]
    return "\n\n".join(_explain(metric) for metric in found)


def _explain(metric: Metric) -> str:
    score = "mean over images" if metric.level == "image" else "one score over the set of images"
    lines: Sequence[tuple[str, str]] = (
        ("definition", metric.definition),
        ("score", score),
        ("range", f"{metric.range} {metric.unit}".rstrip()),
        ("direction", _BETTER[metric.direction]),
        ("source", metric.source),
        ("weakness", metric.weakness),
        ("family", metric.family),
    )
    return "\n".join([metric.name, *(f"  {word:10}  {text}" for word, text in lines)])
