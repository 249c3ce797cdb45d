"""Metrics that recur: an amount of both stains, its error, its correlation, its agreement."""

from __future__ import annotations

from dataclasses import dataclass

from restain.metrics.measures import ImageMeasure, Marker
from restain.metrics.metric import Family, Metric
from restain.metrics.statistics.agreement import ICC, LOWER_LIMIT, UPPER_LIMIT, absolute_difference, difference
from restain.metrics.statistics.averages import PEARSON
from restain.metrics.statistics.moments import Statistic

STEP = 0.02  # of scores that end at 1: smaller differences decide nothing in the ranks
SHARE_STEP = 0.05  # of the real amount, about what counting and measuring themselves are off (docs/metrics.md)
_BLIND_TO_SCALE = "blind to a wrong scale or offset; needs fields that differ; one extreme field can carry it"
_BLAND = "Bland and Altman, Lancet 327 (1986)"
_SHROUT = "Shrout and Fleiss, Psychological Bulletin 86 (1979)"


@dataclass(frozen=True, kw_only=True)
class Amount:
    """Something measured on the virtual and on the real stain: the columns ``column`` and ``column``_real."""

    column: str
    measure: ImageMeasure  # that fills them
    unit: str
    what: str
    source: str
    range: str
    weakness: str
    family: Family = "stain"
    undefined: str = "a measure has no value"
    ballot: str = ""  # that its error and agreement share with near-duplicates; empty: the column's own
    correlation_ballot: str = ""  # that its correlation shares; empty: as ballot
    markers: tuple[Marker, ...] = ()  # for which it means something; empty: for all
    stains: tuple[str, ...] = ()  # the same by the name of the stain

    @property
    def columns(self) -> tuple[str, str]:
        """Virtual and real."""
        return self.column, f"{self.column}_real"


def amount(of: Amount) -> tuple[Metric, Metric, Metric]:
    """The amount on the virtual and on the real stain, and the absolute difference of both, where less is better."""
    virtual, real = (
        Metric(
            name=column,
            unit=of.unit,
            direction="none",
            definition=f"{of.what}, {side}",
            source=of.source,
            measures=(of.measure,),
            columns=(column,),
            family=of.family,
            range=of.range,
            weakness=of.weakness,
            undefined=of.undefined,
            markers=of.markers,
            stains=of.stains,
        )
        for column, side in zip(of.columns, ("virtual", "real"), strict=True)
    )
    error = Metric(
        name=f"{of.column}_error",
        unit=of.unit,
        direction="lower",
        definition=f"absolute difference of {of.what}, virtual and real, per image",
        source=of.source,
        measures=(of.measure,),
        columns=of.columns,
        combine=absolute_difference,
        family=of.family,
        range=of.range,
        weakness=f"small where most fields are negative; {of.weakness}",
        undefined=of.undefined,
        ballot=of.ballot or of.column,
        markers=of.markers,
        stains=of.stains,
        step=SHARE_STEP,
        relative_to=f"{of.column}_real",
    )
    return virtual, real, error


def over_images(of: Amount, name: str, statistic: Statistic, definition: str) -> Metric:
    """A statistic of both columns over the set, such as a coefficient of agreement; higher is better."""
    return Metric(
        name=name,
        unit="",
        direction="higher",
        definition=f"{definition} over images of {of.what}, virtual and real",
        source=of.source,
        measures=(of.measure,),
        columns=of.columns,
        statistic=statistic,
        family=of.family,
        range="[-1, 1]",
        weakness=_BLIND_TO_SCALE if statistic is PEARSON else "falls where fields differ little from each other",
        ballot=of.correlation_ballot or of.ballot or of.column,
        markers=of.markers,
        stains=of.stains,
        step=STEP,
    )


def correlation(of: Amount, name: str) -> Metric:
    """Pearson's r of an amount over images."""
    return over_images(of, name, PEARSON, "Pearson's r")


def agreement(of: Amount) -> tuple[Metric, Metric, Metric, Metric]:
    """Bland and Altman's bias and 95 % limits of an amount, and its intraclass correlation ICC(2,1)."""
    bias = Metric(
        name=f"{of.column}_bias",
        unit=of.unit,
        direction="none",
        definition=f"mean of virtual minus real {of.what}; 0 is none",
        source=_BLAND,
        measures=(of.measure,),
        columns=of.columns,
        combine=difference,
        family=of.family,
        range="(-inf, inf)",
        weakness="errors of both signs cancel: read it with the limits",
        undefined=of.undefined,
        markers=of.markers,
        stains=of.stains,
    )
    lower, upper = (
        Metric(
            name=f"{of.column}_limit_{side}",
            unit=of.unit,
            direction="none",
            definition=f"{side} 95 % limit of agreement of {of.what}: bias {sign} 1.96 standard deviations",
            source=_BLAND,
            measures=(of.measure,),
            columns=of.columns,
            statistic=statistic,
            family=of.family,
            range="(-inf, inf)",
            weakness="assumes differences that are normal and alike over the whole range",
            markers=of.markers,
            stains=of.stains,
        )
        for side, sign, statistic in (("lower", "-", LOWER_LIMIT), ("upper", "+", UPPER_LIMIT))
    )
    icc = over_images(of, f"{of.column}_icc", ICC, f"ICC(2,1), absolute agreement ({_SHROUT}),")
    return bias, lower, upper, icc
