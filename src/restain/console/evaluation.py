"""An evaluation as tables on the screen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from restain.evaluation.results import Evaluation
from restain.evaluation.schema import Ranks, SystemComparison
from restain.metrics import Estimate, Metric
from restain.progress import screen

_WIDE = 3  # columns with an interval beside the score; more of them have it below
_MOST_PAIRS = 5
_ARROWS = {"higher": "↑", "lower": "↓", "none": ""}


def print_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Print the scores, the differences between systems, their ranks, the literature and what is missing."""
    console = console or screen()
    summary = evaluation.summary
    console.print(_scores_table(evaluation))
    pairs = _pairs_shown(evaluation)
    if pairs:
        console.print(_comparisons_table(evaluation.metrics, summary.comparisons, pairs))
        for line in _without_test(evaluation.metrics, summary.comparisons):
            console.print(line)
    elif summary.comparisons:
        console.print("differences: too many pairs of systems for a screen; summary.json and the report have them")
    if summary.ranking:
        console.print(_ranking_line(summary.ranking))
    if summary.literature:
        console.print(_literature_table(evaluation))
    for line in _notes(evaluation):
        console.print(line)
    for line in _missing_lines(summary.not_computed):
        console.print(line)


def _scores_table(evaluation: Evaluation) -> Table:
    systems = (*evaluation.systems, *evaluation.baselines)
    summary = evaluation.summary
    count = summary.groups.count
    clusters = f", {count} groups drawn as a whole" if count else ""
    table = Table(
        title=f"{summary.n} images, {summary.resolution}, protocol {summary.protocol}",
        caption="mean over images (or statistic of the set) with 95 % bootstrap interval"
        f"{clusters}; ↑ ↓ which is better; scores without a better direction: see summary.json",
    )
    table.add_column("metric", no_wrap=True)
    for system in systems:
        table.add_column(system.name, justify="right")
    separator = " " if len(systems) <= _WIDE else "\n"
    directed = [metric for metric in evaluation.metrics if metric.direction != "none"]
    for metric in directed or evaluation.metrics:
        found = [system.estimates.get(metric.name) for system in systems]
        if any(found):
            table.add_row(_label(metric), *(_score(one, separator) if one else "–" for one in found))
    return table


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
        caption="first minus second, p of the paired permutation test after Holm's correction over the pairs; "
        "for statistics of the set the 95 % bootstrap interval instead",
    )
    table.add_column("metric", no_wrap=True)
    separator = " " if len(pairs) <= _WIDE else "\n"
    for first, second in pairs:
        table.add_column(f"{first} − {second}", justify="right")
    for metric in metrics:
        found = [by_place.get((metric.name, *pair)) for pair in pairs]
        if any(found):
            table.add_row(_label(metric), *(_difference(entry, separator) if entry else "–" for entry in found))
    return table


def _without_test(metrics: Sequence[Metric], comparisons: Sequence[SystemComparison]) -> list[str]:
    """Why values per image were not tested, each reason once; that a statistic of the set has no test is no news."""
    per_image = {metric.name for metric in metrics if metric.level == "image"}
    return list(dict.fromkeys(one.test for one in comparisons if one.p is None and one.metric in per_image))


def _difference(entry: SystemComparison, separator: str) -> str:
    difference = _signed(entry.difference) + separator
    if entry.p_holm is not None:
        p = entry.p_holm
        return f"{difference}({'p < 0.001' if p < 0.001 else f'p = {p:.3f}'})"
    if entry.ci95:
        return f"{difference}({_signed(entry.ci95[0])} to {_signed(entry.ci95[1])})"
    return f"{difference}(no test)"


def _ranking_line(ranking: Ranks) -> str:
    ranks = ", ".join(f"{name} {ranking.mean_rank[name]:.2f}" for name in ranking.systems)
    families = ", ".join(ranking.by_family)
    return f"mean rank over families of metrics ({families}): {ranks}"


def _literature_table(evaluation: Evaluation) -> Table:
    """Published scores beside the user's; what another protocol gave is marked, sources stand below."""
    literature = evaluation.summary.literature
    assert literature is not None
    rows, metrics = literature.rows, list(dict.fromkeys(row.metric for row in literature.rows))
    sources = list(dict.fromkeys(row.source for row in rows))
    notes = "\n".join(f"[{number}] {source}" for number, source in enumerate(sources, 1))
    table = Table(
        title=f"published scores for {literature.data_set}",
        caption=Text(f"* another or an unknown protocol: not comparable with yours\n{notes}"),
        caption_justify="left",
    )
    table.add_column("system", overflow="fold")
    for metric in metrics:
        table.add_column(metric, justify="right", overflow="fold")
    table.add_column("protocol", overflow="fold")
    for system in evaluation.systems:
        own = [system.estimates.get(metric) for metric in metrics]
        cells = [_digits(one.value) if one else "–" for one in own]
        table.add_row(f"{system.name} (yours)", *cells, evaluation.summary.protocol, style="bold")
    for method, protocol, source in dict.fromkeys((row.method, row.protocol, row.source) for row in rows):
        same = [row for row in rows if (row.method, row.protocol, row.source) == (method, protocol, source)]
        scores = {row.metric: f"{row.value:g}{'' if row.comparable else '*'}" for row in same}
        cells = [scores.get(metric, "–") for metric in metrics]
        table.add_row(Text(f"{method} [{sources.index(source) + 1}]"), *cells, protocol)
    return table


def _notes(evaluation: Evaluation) -> Iterator[str]:
    """What a reader must know of single scores, once where it holds for several systems."""
    notes: dict[str, list[str]] = {}
    for system in (*evaluation.systems, *evaluation.baselines):
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


def _score(found: Estimate, separator: str) -> str:
    if found.ci95 is None:
        return _digits(found.value)
    return f"{_digits(found.value)}{separator}({_digits(found.ci95[0])} to {_digits(found.ci95[1])})"


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{_digits(abs(value))}"


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.2f}" if abs(value) >= 10 else f"{value:.3f}"
