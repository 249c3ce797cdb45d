"""What a pathologist reads off a field: a few measures that fit the marker, in the units of a report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restain.reporting.evaluation_files import EvaluationFiles
from restain.reporting.tables import Numbers, Table


@dataclass(frozen=True)
class Reading:
    """One measure of a field, and how it is written."""

    column: str  # of per_image.csv; the true IHC's is column_real
    title: str
    unit: str
    factor: float = 1.0  # from the column to the unit
    decimals: int = 0
    graded: bool = False  # 0, 1+, 2+, 3+

    @property
    def points(self) -> str:
        """The unit of a difference."""
        return "points" if self.unit == "%" else self.unit

    def virtual(self, table: Table) -> Numbers:
        """Values (n,) of the virtual stain, in the unit."""
        return np.asarray(self.factor * table.numbers(self.column))

    def true(self, table: Table) -> Numbers:
        """Values (n,) of the true IHC, in the unit."""
        return np.asarray(self.factor * table.numbers(f"{self.column}_real"))

    def text(self, value: float) -> str:
        """A value with its unit."""
        plus = "+" if self.graded and value > 0 else ""
        return _written(f"{value:.{self.decimals}f}", self.unit, known=bool(np.isfinite(value))) + plus

    def difference(self, value: float) -> str:
        """A signed difference with its unit."""
        text = f"{value:+.{self.decimals}f}"
        unit = self.points.removesuffix("s") if text in ("+1", "-1") else self.points
        return _written(text, unit, known=bool(np.isfinite(value)))


def _written(text: str, unit: str, *, known: bool) -> str:
    if not known:
        return "–"
    if not float(text):
        text = text.lstrip("+-")
    return f"{text} {unit}".rstrip().replace("-", "−")


POSITIVE_NUCLEI = Reading("positive_index", "Positive nuclei", "%", 100.0)
H_SCORE = Reading("h_score", "H-score", "")
DAB_AREA = Reading("dab_positive_area", "DAB area", "%", 100.0, 1)
MEAN_DAB = Reading("dab_mean_od", "Mean DAB", "OD", decimals=3)
HER2 = Reading("her2_band", "HER2 category", "", graded=True)
_BY_MARKER = {
    "nuclear": (POSITIVE_NUCLEI, H_SCORE, DAB_AREA),
    "membrane": (HER2, DAB_AREA, MEAN_DAB),
    "cytoplasm": (DAB_AREA, MEAN_DAB),
}
_AMOUNT = ("dab_mean_od_error", "dab_pearson_r", "dab_positive_area_error", "dab_positive_area_pearson_r")
_PLACE = ("dab_grid_r", "dab_near_f")


def readings(evaluation: EvaluationFiles) -> tuple[Reading, ...]:
    """The measures for the marker of an evaluation, as far as its table has them."""
    table = evaluation.per_image
    if table is None:
        return ()
    wanted = _BY_MARKER.get(evaluation.summary.marker or "", (DAB_AREA, MEAN_DAB))
    return tuple(one for one in wanted if one.column in table and f"{one.column}_real" in table)


def positivity(evaluation: EvaluationFiles) -> Reading | None:
    """The measure that stands for positivity: the share of positive nuclei, or else of the area."""
    found = readings(evaluation)
    return next((one for one in (POSITIVE_NUCLEI, DAB_AREA) if one in found), found[-1] if found else None)


def relevant_metrics(evaluation: EvaluationFiles) -> set[str]:
    """Names of the metrics that matter for the marker: amount, place, and the readings with their agreement."""
    endings = ("", "_real", "_bias", "_icc", "_kappa")
    return {*_AMOUNT, *_PLACE} | {f"{one.column}{ending}" for one in readings(evaluation) for ending in endings}
