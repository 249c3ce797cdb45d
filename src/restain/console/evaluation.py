"""An evaluation as tables on the screen."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restain.evaluation.inputs import UNCHANGED
from restain.evaluation.results import Evaluation, System
from restain.evaluation.schema import Ranks, SystemComparison
from restain.evaluation.verdict import loses
from restain.metrics import Estimate, Metric
from restain.metrics.metric import FAMILIES
from restain.progress import screen

_WIDE = 3  # columns with an interval beside the score; with more of them a cell is a difference from the best
_MOST_PAIRS = 3
_NOISE = 1e-9  # smaller is rounding, not a result
_ARROWS = {"higher": "↑", "lower": "↓", "none": ""}


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print warnings, scores, differences, ranks, a verdict on every stain, the literature and what is missing."""
    console = console or screen()
    summary = evaluation.summary
    for warning in summary.warnings:
        console.print(f"warning: {warning}", markup=False)
    for line in _circumstances(evaluation):
        console.print(line, markup=False)
    console.print(_scores_table(evaluation))
    pairs = _pairs_shown(evaluation)
    if pairs:
        console.print(_comparisons_table(evaluation.metrics, summary.comparisons, pairs))
        for line in _without_test(evaluation.metrics, summary.comparisons):
            console.print(line)
    elif summary.comparisons:
        console.print("differences: too many pairs of systems for a screen; summary.json and the report have them")
    if summary.ranking:
        for line in _ranking_lines(summary.ranking):
            console.print(line, markup=False)
    for name, verdict in summary.verdict.items():
        console.print(f"{name}: {verdict}", markup=False)
    if summary.literature:
        console.print(_literature_table(evaluation))
    for line in _notes(evaluation):
        console.print(line)
    for line in _missing_lines(summary.not_computed):
        console.print(line)


def _circumstances(evaluation: Evaluation) -> Iterator[str]:
    summary = evaluation.summary
    if summary.mpp is not None:
        yield f"pixel size: {summary.mpp:g} µm ({summary.mpp_source})"
    if any(metric.markers for metric in evaluation.metrics):
        yield f"marker: {f'{summary.marker} ({summary.marker_source})' if summary.marker else summary.marker_source}"


def _scores_table(evaluation: Evaluation) -> Table:
    systems, summary = _columns(evaluation), evaluation.summary
    count = summary.groups.count
    clusters = f", {count} groups drawn as a whole" if count else ""
    wide = len(systems) > _WIDE
    shown = (
        "value of the best, difference from it for the others; intervals are in summary.json and the report"
        if wide
        else f"mean over images (or statistic of the set) with 95 % bootstrap interval{clusters}"
    )
    table = Table(
        title=f"{summary.n} images, {summary.resolution}, protocol {summary.protocol}",
        caption=f"{shown}; ↑ ↓ which is better; * not better than a baseline; scores without a better direction: see "
        "summary.json",
    )
    table.add_column("metric", no_wrap=True)
    for system in systems:
        table.add_column(Text(system.name), justify="right", overflow="fold")
    directed = [metric for metric in evaluation.metrics if metric.direction != "none"]
    rows = sorted(directed or evaluation.metrics, key=lambda metric: FAMILIES.index(metric.family))
    last = None
    for metric in rows:
        if not any(metric.name in system.estimates for system in systems):
            continue
        if last not in (None, metric.family):
            table.add_section()
        last = metric.family
        table.add_row(_label(metric), *_cells(metric, evaluation, wide))
    return table


def _columns(evaluation: Evaluation) -> tuple[System, ...]:
    """What the table of scores has a column of: virtual stains, baselines, the second section of the truth."""
    return (*evaluation.systems, *evaluation.baselines, *evaluation.ceiling)


def _cells(metric: Metric, evaluation: Evaluation, wide: bool) -> list[Text]:
    """A cell for each system and baseline; a virtual stain that is not better than a baseline is marked."""
    systems = _columns(evaluation)
    best = _best(metric, (*evaluation.systems, *evaluation.baselines)) if wide else None
    cells = []
    for system in systems:
        found = system.estimates.get(metric.name)
        virtual = system in evaluation.systems
        lost = "*" if virtual and any(loses(metric, system, one) for one in evaluation.baselines) else ""
        if found is None:
            cells.append(Text(f"–{lost}"))
            continue
        n = "" if found.n == evaluation.summary.n else f" n={found.n}"
        if best is None:
            text = _digits(found.value) if wide else _score(found)
        elif found.value == best or system in evaluation.ceiling:
            text = _digits(found.value)
        else:
            text = _signed(found.value - best)
        style = "bold" if found.value == best and system not in evaluation.ceiling else ""
        cells.append(Text(f"{text}{lost}{n}", style))
    return cells


def _best(metric: Metric, systems: Sequence[System]) -> float | None:
    """The best finite value; None where the metric has no direction or no finite value."""
    values = [one.estimates[metric.name].value for one in systems if metric.name in one.estimates]
    finite = [value for value in values if math.isfinite(value)]
    if metric.direction == "none" or not finite or len(finite) < len(values):
        return None
    return max(finite) if metric.direction == "higher" else min(finite)


def _pairs_shown(evaluation: Evaluation) -> list[tuple[str, str]]:
    """The pairs that fit on a screen: all, else those without baselines, else none."""
    pairs = list(dict.fromkeys((entry.first, entry.second) for entry in evaluation.summary.comparisons))
    names = {system.name for system in evaluation.systems}
    for shown in (pairs, [pair for pair in pairs if set(pair) <= names]):
        if len(shown) <= _MOST_PAIRS:
            return shown
    return []


def _comparisons_table(
    metrics: Sequence[Metric], comparisons: Sequence[SystemComparison], pairs: Sequence[tuple[str, str]]
) -> Table:
    """A row a metric, a column a pair of systems."""
    by_place = {(entry.metric, entry.first, entry.second): entry for entry in comparisons}
    table = Table(
        title="differences",
        caption="first minus second, 95 % bootstrap interval, p of the paired permutation test after Holm's correction "
        "(a statistic of the set has no p)",
    )
    table.add_column("metric", no_wrap=True)
    for first, second in pairs:
        table.add_column(Text(f"{first} − {second}"), justify="right", overflow="fold")
    for metric in metrics:
        found = [by_place.get((metric.name, *pair)) for pair in pairs]
        if any(found):
            table.add_row(_label(metric), *(_difference(entry) if entry else "–" for entry in found))
    return table


def _without_test(metrics: Sequence[Metric], comparisons: Sequence[SystemComparison]) -> list[str]:
    """Why values per image were not tested, each reason once; that a statistic of the set has no test is no news."""
    per_image = {metric.name for metric in metrics if metric.level == "image"}
    return list(dict.fromkeys(one.test for one in comparisons if one.p is None and one.metric in per_image))


def _difference(entry: SystemComparison) -> str:
    """The difference with its interval, and p where there is a test."""
    text = _signed(entry.difference)
    if entry.ci95:
        text += f" ({_signed(entry.ci95[0])} to {_signed(entry.ci95[1])})"
    if entry.p_holm is not None:
        return f"{text} {'p < 0.001' if entry.p_holm < 0.001 else f'p = {entry.p_holm:.3f}'}"
    return text if entry.ci95 else f"{text} (no test)"


def _ranking_lines(ranking: Ranks) -> Iterator[str]:
    ranks = ", ".join(f"{name} {ranking.mean_rank[name]:.2f}" for name in ranking.systems)
    yield f"mean rank over families of metrics ({', '.join(ranking.by_family)}): {ranks}"
    if ranking.displaced:
        yield f"last, since they stain the wrong places: {', '.join(ranking.displaced)}"
    for name, families in ranking.failed.items():
        if name != UNCHANGED:
            yield f"behind, since the H&E unchanged is as good in {' and '.join(families)}: {name}"
    by_systems: dict[str, list[str]] = {}
    for metric, names in ranking.without_value.items():
        by_systems.setdefault(", ".join(names), []).append(metric)
    for lacking, metrics in by_systems.items():
        yield f"worst, because they have no value: {lacking} in {', '.join(metrics)}"


def _literature_table(evaluation: Evaluation) -> Table:
    """Published scores beside the user's; what another protocol gave is marked, sources stand below."""
    literature = evaluation.summary.literature
    assert literature is not None
    rows, metrics = literature.rows, list(dict.fromkeys(row.metric for row in literature.rows))
    sources = list(dict.fromkeys(row.source for row in rows))
    notes = "\n".join(f"[{number}] {source}" for number, source in enumerate(sources, 1))
    table = Table(
        title=f"published scores for {literature.data_set}",
        caption=Text(
            f"* not comparable with yours: protocol, data set, split, n or size differ or are not known\n{notes}"
        ),
        caption_justify="left",
    )
    table.add_column("system", overflow="fold")
    for metric in metrics:
        table.add_column(metric, justify="right", overflow="fold")
    table.add_column("protocol", overflow="fold")
    for system in evaluation.systems:
        own = [system.estimates.get(metric) for metric in metrics]
        cells = [_digits(one.value) if one else "–" for one in own]
        table.add_row(Text(f"{system.name} (yours)"), *cells, evaluation.summary.protocol, style="bold")
    for method, protocol, source in dict.fromkeys((row.method, row.protocol, row.source) for row in rows):
        same = [row for row in rows if (row.method, row.protocol, row.source) == (method, protocol, source)]
        printed = {row.metric: f"{row.value:g}{'' if row.comparable else '*'}" for row in same}
        cells = [printed.get(metric, "–") for metric in metrics]
        table.add_row(Text(f"{method} [{sources.index(source) + 1}]"), *cells, protocol)
    return table


def _notes(evaluation: Evaluation) -> Iterator[str]:
    """What a reader must know of single scores, once where it holds for several systems."""
    notes: dict[str, list[str]] = {}
    for system in _columns(evaluation):
        for name, found in system.estimates.items():
            if found.note and name not in notes.setdefault(found.note, []):
                notes[found.note].append(name)
    for note, names in notes.items():
        yield f"note: {', '.join(names)}: {note}"


def _missing_lines(not_computed: Mapping[str, str]) -> Iterator[str]:
    values: dict[str, list[str]] = {}
    intervals: Counter[str] = Counter()
    for name, reason in not_computed.items():
        if name.endswith(" ci95"):
            intervals[reason] += 1
        else:
            values.setdefault(reason, []).append(name)
    for reason, names in values.items():
        yield f"not computed: {', '.join(names)}: {reason}"
    for reason, count in intervals.items():
        yield f"without interval: {count} scores: {reason}"


def _label(metric: Metric) -> str:
    return " ".join(part for part in (metric.name, _ARROWS[metric.direction], metric.unit) if part)


def _score(found: Estimate) -> str:
    if found.ci95 is None:
        return _digits(found.value)
    return f"{_digits(found.value)} ({_digits(found.ci95[0])} to {_digits(found.ci95[1])})"


def _signed(value: float) -> str:
    text = _digits(abs(value))
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def _digits(value: float) -> str:
    """Three digits that say something, at least three decimals below 10 and never an exponent."""
    size = abs(value)
    if not math.isfinite(value):
        return str(value)
    if size < _NOISE:
        return "0"
    decimals = 0 if size >= 1000 else 2 if size >= 10 else max(3, 2 - math.floor(math.log10(size)))
    return f"{value:.{decimals}f}"
