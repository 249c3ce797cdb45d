"""The tables of a comparison: scores with tests and ranks, costs, and what failed; as Markdown, CSV and LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from restain.benchmarking.plan import Job, Plan
from restain.benchmarking.seed_scores import Comparisons, Measured
from restain.files import write_text
from restain.metrics import Metric
from restain.metrics.statistics.ranking import Ranking
from restain.metrics.statistics.significance import LEVEL
from restain.progress import counted
from restain.reporting.labels import label
from restain.reporting.paper_table import NOT_COMPARABLE, published_rows
from restain.reporting.score_sheet import (
    HEADLINE,
    ScoreSheet,
    SheetCell,
    SheetColumn,
    SheetRow,
    to_csv,
    to_latex,
    to_markdown,
)

RANK = "mean_rank"
SYSTEMS, BASELINES = "trained here", "learn nothing"
DIFFERENT = "†"
_COUNTS = ("steps", "parameters", "parameters_trained")


def write_tables(plan: Plan, found: Comparisons | None) -> ScoreSheet:
    """Write ``table.md``, ``table.csv`` and ``table.tex``; returns the table of the scores."""
    shown, costs = score_sheet(plan, found, plan.metrics), cost_sheet(plan)
    write_text(plan.out / "table.md", f"{to_markdown(shown)}\n{to_markdown(costs)}")
    write_text(plan.out / "table.tex", f"{to_latex(shown)}\n{to_latex(costs)}")
    whole = score_sheet(plan, found, ("all",))
    columns = [*whole.columns, *costs.columns]
    cost_of = {row.name: row.cells for row in costs.rows}
    rows = [replace(row, cells={**row.cells, **cost_of.get(row.name, {})}) for row in whole.rows]
    write_text(plan.out / "table.csv", to_csv(replace(whole, columns=columns, rows=rows)))
    return shown


def score_sheet(plan: Plan, found: Comparisons | None, metrics: Sequence[str] = ()) -> ScoreSheet:
    """Scores of the systems, the baselines, and the literature where that was asked for.

    Args:
        plan: the comparison.
        found: its scores so far; None where nothing is done.
        metrics: as asked for; empty for the headline, "all" for every one that was computed.
    """
    chosen = [] if found is None else list(_chosen(found, metrics))
    columns = [SheetColumn(name=m.name, title=_title(m), direction=m.direction) for m in chosen]
    if found is not None and found.ranking is not None:
        columns.append(SheetColumn(name=RANK, title="mean rank"))
    rows = [*_system_rows(plan, found, chosen), *_baseline_rows(found, chosen), *_published(found, chosen)]
    budget = "each recipe's own length" if plan.budget is None else str(plan.budget)
    size = "no evaluation yet" if found is None else f"{len(found.ids)} fields of {plan.split}, {plan.protocol}"
    return ScoreSheet(
        title=f"{plan.data.name}: {budget}, {counted(len(plan.seeds), 'seed')}, {size}",
        columns=columns,
        rows=rows,
        notes=tuple(_notes(plan, found, rows, metrics)),
    )


def _chosen(found: Comparisons, metrics: Sequence[str]) -> Iterator[Metric]:
    scores = found.scores
    for metric in found.metrics:
        present = any(metric.name in scores[one.name] for one in found.systems)
        if present and (metrics == ("all",) or _is_asked(metric, metrics)):
            yield metric


def _is_asked(metric: Metric, metrics: Sequence[str]) -> bool:
    """Whether a column was asked for: by its name, or with others where one direction is better."""
    return metric.name in (metrics or HEADLINE) or (bool(metrics) and metric.direction != "none")


def _title(metric: Metric) -> str:
    return f"{label(metric.name)}, {metric.unit}" if metric.unit else label(metric.name)


def _system_rows(plan: Plan, found: Comparisons | None, metrics: Sequence[Metric]) -> Iterator[SheetRow]:
    done = {one.name: one for one in found.systems} if found else {}
    for contender in plan.contenders:
        note = _state([job for job in plan.jobs() if job.contender == contender and not (found and job in found.jobs)])
        if found is not None and contender.name in done:
            cells = _cells(found, done[contender.name], metrics)
            yield SheetRow(name=contender.name, cells=cells, section=SYSTEMS, note=note)
        else:
            yield SheetRow(name=contender.name, section=SYSTEMS, note=note)


def _state(undone: Sequence[Job]) -> str:
    """What keeps a system from having all its trainings; empty where nothing does."""
    records = [job.record() for job in undone]
    failures = [record.reason for record in records if record is not None and record.status == "failed"]
    waiting = len(undone) - len(failures)
    parts = [f"{counted(len(failures), 'training')} failed: {failures[0]}"] if failures else []
    parts += [f"{counted(waiting, 'training')} not done yet"] if waiting else []
    return "; ".join(parts)


def _baseline_rows(found: Comparisons | None, metrics: Sequence[Metric]) -> Iterator[SheetRow]:
    if found is None:
        return
    for one in found.baselines:
        yield SheetRow(name=one.name, cells=_cells(found, one, metrics), ranked=False, section=BASELINES)


def _cells(found: Comparisons, one: Measured, metrics: Sequence[Metric]) -> dict[str, SheetCell]:
    cells = {}
    for metric in metrics:
        score = found.scores[one.name].get(metric.name)
        if score is None:
            continue
        p = found.p_values.get((metric.name, one.name))
        cells[metric.name] = SheetCell(
            value=score.mean,
            spread=score.spread,
            interval=score.interval,
            p=p,
            mark=DIFFERENT if p is not None and p < LEVEL else "",
        )
    if found.ranking is not None:
        cells[RANK] = SheetCell(value=found.ranking.mean_rank[one.name])
    return cells


def _published(found: Comparisons | None, metrics: Sequence[Metric]) -> list[SheetRow]:
    literature = found.summary.literature if found else None
    return published_rows(literature, [metric.name for metric in metrics]) if literature else []


def _notes(plan: Plan, found: Comparisons | None, rows: Sequence[SheetRow], metrics: Sequence[str]) -> Iterator[str]:
    if found is None:
        return
    spread = "mean ± standard deviation over seeds" if len(plan.seeds) > 1 else "score"
    units = f"; {len(set(found.groups.tolist()))} groups of fields drawn as a whole" if found.groups is not None else ""
    with_interval = any(cell.interval for row in rows for cell in row.cells.values())
    intervals = f" [95 % bootstrap interval over fields{units}]" if with_interval else ", no intervals"
    yield f"{spread}{intervals}. Bold: best, underlined: second best of the trained."
    if any(cell.mark == DIFFERENT for row in rows for cell in row.cells.values()):
        yield (
            f"{DIFFERENT} differs from {found.systems[0].name} (p < {LEVEL}, paired permutation over fields on means "
            "over seeds, Holm within a metric over the systems, and over the baselines)."
        )
    if found.ranking is not None:
        yield " ".join(_about_ranks(found.ranking, [one.name for one in found.systems]))
    if any(cell.mark == NOT_COMPARABLE for row in rows for cell in row.cells.values()):
        yield f"{NOT_COMPARABLE} of another protocol, split, size or number of images, or not stated: do not compare."
    for reason, names in _not_computed(found, metrics).items():
        yield f"Not computed: {', '.join(names)} ({reason})."
    for row in rows:
        if row.note and row.cells:
            yield f"{row.name}: {row.note}."


def _not_computed(found: Comparisons, metrics: Sequence[str]) -> dict[str, list[str]]:
    """Columns that were asked for and are not there, by the reason."""
    reasons: dict[str, list[str]] = {}
    for metric in found.metrics:
        reason = found.summary.not_computed.get(metric.name)
        if reason is not None and _is_asked(metric, metrics):
            reasons.setdefault(reason, []).append(label(metric.name))
    return reasons


def _about_ranks(ranking: Ranking, systems: Sequence[str]) -> Iterator[str]:
    yield "Mean rank: over the families of all metrics that vote, 1 is best (docs/evaluation.md)."
    if ranking.displaced:
        yield f"Stains the wrong places: {', '.join(ranking.displaced)}."
    yield f"Best first: {', '.join(ranking.systems)}."
    for name in systems:
        if families := ranking.failed.get(name):
            yield f"{name}: the H&E unchanged is as good in {' and '.join(families)}."


def cost_sheet(plan: Plan) -> ScoreSheet:
    """What each system costs."""
    columns = [
        SheetColumn(name="steps", title="steps"),
        SheetColumn(name="seconds_per_step", title="s a step", direction="lower"),
        SheetColumn(name="peak_memory_mb", title="peak memory, MB", direction="lower"),
        SheetColumn(name="parameters", title="parameters of the stainer", direction="lower"),
        SheetColumn(name="parameters_trained", title="of all networks", direction="lower"),
        SheetColumn(name="gmacs_512", title="GMACs at 512 px", direction="lower"),
        SheetColumn(name="mpx_per_second", title="stained Mpx/s", direction="higher"),
    ]
    rows, machines = [], dict[str, None]()
    for contender in plan.contenders:
        cost = plan.cost(contender)
        if cost is None:
            rows.append(SheetRow(name=contender.name, ranked=False, note="not measured"))
            continue
        values = cost.model_dump() | {"gmacs_512": cost.macs_512 / 1e9, "steps": _steps(plan, contender.name)}
        cells = {
            c.name: SheetCell(value=float(values[c.name]), whole=c.name in _COUNTS)
            for c in columns
            if values[c.name] is not None
        }
        rows.append(SheetRow(name=contender.name, cells=cells, ranked=False))
        machines[f"{cost.device}, {counted(cost.threads, 'thread')}"] = None
    notes = [f"Measured on {'; '.join(machines)}, before the training."] if machines else []
    return ScoreSheet(title="Cost", columns=columns, rows=rows, notes=notes)


def _steps(plan: Plan, name: str) -> int | None:
    records = [job.record() for job in plan.jobs() if job.contender.name == name]
    return next((record.steps for record in records if record is not None and record.steps is not None), None)
