"""``restain table``: the scores of one or several evaluations as a table for a paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from restain.errors import RestainError, meant
from restain.evaluation.schema import PER_IMAGE, Literature, Score, Scores, Summary
from restain.files import write_text
from restain.reporting.evaluation_files import read_evaluation
from restain.reporting.labels import label
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

Format: TypeAlias = Literal["markdown", "latex", "csv"]
Uncertainty: TypeAlias = Literal["interval", "sd", "none"]

BASELINES, DIFFERS, NOT_COMPARABLE = "learn nothing", "‡", "*"
_WRITERS = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}
_SUFFIXES: dict[str, Format] = {".md": "markdown", ".tex": "latex", ".csv": "csv"}
_DECISIVE = ("protocol", "protocol_settings", "n", "resolution", "data_set", "split", "mpp", "marker", "weights")
_MINOR = ("seed", "groups", "restain")


@dataclass(frozen=True)
class _Part:
    """One evaluation of the table."""

    name: str  # of its folder
    summary: Summary
    ids: tuple[str, ...] | None  # of its images; None where the table of images is gone


def table(
    evaluations: str | Path | Sequence[str | Path],
    *,
    format: Format | None = None,
    out: str | Path | None = None,
    metrics: Sequence[str] = (),
    uncertainty: Uncertainty = "interval",
    force: bool = False,
) -> str:
    """Make a table for a paper: systems as rows, metrics as columns, the best bold, the second underlined.

    Args:
        evaluations: folders of ``restain evaluate``; their systems are listed below each other. A system without a
            name of its own takes that of its folder.
        format: markdown, latex (needs the package booktabs) or csv; by default as the suffix of ``out`` asks for
            (.md, .tex, .csv), and markdown where there is no ``out``.
        out: file to write.
        metrics: names or families; by default a short list of those that papers report.
        uncertainty: behind each number: the 95 % interval, the standard deviation over images, or nothing.
        force: make the table although the evaluations do not compare; the rows that differ from the first are marked.

    Returns:
        the text of the table.

    Raises:
        RestainError: the suffix of ``out`` is that of no format, a folder is no evaluation, a metric is unknown or in
            none of them, two systems share a name, or the evaluations differ in the protocol, the images, the
            resolution or the weights of a metric.
    """
    folders = [evaluations] if isinstance(evaluations, str | Path) else list(evaluations)
    chosen = format or ("markdown" if out is None else _SUFFIXES.get(Path(out).suffix.lower()))
    if chosen is None:
        raise RestainError(f"{out}: is no name for a table; expected {', '.join(_SUFFIXES)}, or a format")
    for name, value, allowed in (("format", chosen, Format), ("uncertainty", uncertainty, Uncertainty)):
        if value not in get_args(allowed):
            raise RestainError(f"{name}: is {value!r}; expected one of {', '.join(get_args(allowed))}")
    text = _WRITERS[chosen](paper_sheet([Path(folder) for folder in folders], metrics, uncertainty, force=force))
    if out is not None:
        write_text(Path(out), text)
    return text


def paper_sheet(
    folders: Sequence[Path], metrics: Sequence[str] = (), uncertainty: Uncertainty = "interval", *, force: bool = False
) -> ScoreSheet:
    """The table before it is written; see ``table``."""
    if not folders:
        raise RestainError("table: no evaluation was given; expected at least one folder of restain evaluate")
    parts = [_read(folder) for folder in folders]
    first, differing = parts[0], {}
    for part in parts[1:]:
        differences = list(_differences(first, part))
        if differences and not force:
            raise RestainError(
                f"{part.name}: does not compare with {first.name}: {'; '.join(differences)}; evaluate both in the same "
                "way, or give --force to mark the difference"
            )
        if differences:
            differing[part.name] = differences
    columns = _columns(parts, metrics)
    names = [column.name for column in columns]
    rows = [
        SheetRow(
            name=shown + (DIFFERS if part.name in differing else ""),
            cells=_cells(scores, names, uncertainty),
            ranked=part.name not in differing,
        )
        for part in parts
        for shown, scores in _systems(part)
    ]
    twice = [row.name for index, row in enumerate(rows) if row.name in {other.name for other in rows[:index]}]
    if twice:
        raise RestainError(
            f"table: two systems are called {twice[0]!r}; give them names with restain evaluate --fake NAME=DIR, or "
            "rename a folder"
        )
    rows += [
        SheetRow(name=name, cells=_cells(scores, names, uncertainty), ranked=False, section=BASELINES)
        for name, scores in first.summary.baselines.items()
    ]
    if first.summary.literature is not None:
        rows += published_rows(first.summary.literature, names)
    return ScoreSheet(
        title=_title(first.summary),
        columns=columns,
        rows=rows,
        notes=tuple(_notes(parts, differing, rows, uncertainty)),
    )


def published_rows(literature: Literature, metrics: Sequence[str]) -> list[SheetRow]:
    """Rows of the literature under the given metrics, in a section of their own and without a rank."""
    # The literature calls LPIPS by no network, and KID after it was multiplied by 1000, as the metric here is.
    names = {metric: "lpips" if metric.startswith("lpips") else metric for metric in metrics}
    rows = []
    for method, source in dict.fromkeys((row.method, row.source) for row in literature.rows):
        of_source = {row.metric: row for row in literature.rows if (row.method, row.source) == (method, source)}
        cells = {
            name: SheetCell(
                value=of_source[theirs].value,
                spread=of_source[theirs].std,
                mark="" if of_source[theirs].comparable else NOT_COMPARABLE,
            )
            for name, theirs in names.items()
            if theirs in of_source
        }
        if cells:
            section = f"published for {literature.data_set}"
            rows.append(SheetRow(name=f"{method} ({source})", cells=cells, ranked=False, section=section))
    return rows


def _read(folder: Path) -> _Part:
    files = read_evaluation(folder)
    ids = files.per_image.columns["id"] if PER_IMAGE not in files.missing and files.per_image is not None else None
    return _Part(folder.resolve().name, files.summary, ids)


def _systems(part: _Part) -> Iterator[tuple[str, Scores]]:
    """Name and scores; one that was called nothing is called by the folder of its evaluation."""
    for name, scores in part.summary.systems.items():
        yield (part.name if name == "virtual" else name), scores


def _differences(first: _Part, other: _Part) -> Iterator[str]:
    """What keeps scores of two evaluations from being compared."""
    for field in _DECISIVE:
        here, there = getattr(first.summary, field), getattr(other.summary, field)
        if field == "weights":  # of a metric that both have
            for metric in sorted(here.keys() & there.keys()):
                if here[metric] != there[metric]:
                    yield f"the weights of {metric} differ"
        elif field == "protocol_settings":
            if here != there and first.summary.protocol == other.summary.protocol:
                yield "the settings of the protocol differ"
        elif here != there:
            yield f"{field} is {there}, not {here}"
    if first.ids is not None and other.ids is not None and set(first.ids) != set(other.ids):
        yield "the images have other names"


def _columns(parts: Sequence[_Part], metrics: Sequence[str]) -> list[SheetColumn]:
    described: dict[str, Score] = {}
    for part in parts:
        for _, scores in _systems(part):
            described |= {name: score for name, score in scores.items() if name not in described}
    words = [word.strip() for word in metrics if word.strip()]
    families = {score.family for score in described.values()}
    for word in words:
        if word not in families and word not in described:
            raise RestainError(
                f"metrics: {word!r} is in none of the evaluations{meant(word, described)}; expected families "
                f"({', '.join(sorted(families))}) or names ({', '.join(described)})"
            )
    directed = [name for name, score in described.items() if score.direction != "none"]
    found = [name for name in HEADLINE if name in directed] if not words else []
    for word in words:  # what only describes is shown where it was named itself
        found += [word] if word in described else [name for name in directed if described[name].family == word]
    return [
        SheetColumn(name=name, title=_column_title(name, described[name]), direction=described[name].direction)
        for name in dict.fromkeys(found)
    ]


def _column_title(name: str, score: Score) -> str:
    return f"{label(name)}, {score.unit}" if score.unit else label(name)


def _cells(scores: Scores, metrics: Sequence[str], uncertainty: Uncertainty) -> dict[str, SheetCell]:
    return {
        name: SheetCell(
            value=scores[name].mean,
            spread=scores[name].std if uncertainty == "sd" else None,
            interval=scores[name].ci95 if uncertainty == "interval" else None,
        )
        for name in metrics
        if name in scores
    }


def _title(summary: Summary) -> str:
    data = f" of {summary.data_set}" if summary.data_set else ""
    split = f" ({summary.split})" if summary.split else ""
    return f"{summary.n} images{data}{split}, {summary.resolution}, protocol {summary.protocol}"


def _notes(
    parts: Sequence[_Part], differing: Mapping[str, Sequence[str]], rows: Sequence[SheetRow], uncertainty: Uncertainty
) -> Iterator[str]:
    summary = parts[0].summary
    groups = f", {summary.groups.count} groups drawn as a whole" if summary.groups.count else ""
    with_interval = any(cell.interval for row in rows for cell in row.cells.values())
    yield {
        "interval": f"Mean over images with its 95 % bootstrap interval (seed {summary.seed}{groups})."
        if with_interval
        else "Mean over images; no intervals were computed.",
        "sd": "Mean ± standard deviation over images; correlations are of the set and have none.",
        "none": "Mean over images.",
    }[uncertainty]
    scale = f"{summary.mpp:g} µm/px" if summary.mpp else "not known"
    yield f"Pixel size: {scale}. restain {summary.restain}."
    for name, differences in differing.items():
        yield f"{DIFFERS} {name} does not compare with the other rows: {'; '.join(differences)}."
    for field in _MINOR:
        values = list(dict.fromkeys(_shown(getattr(part.summary, field)) for part in parts))
        if len(values) > 1:
            yield f"Evaluations differ in {field}: {', '.join(values)}."
    if any(cell.mark == NOT_COMPARABLE for row in rows for cell in row.cells.values()):
        yield f"{NOT_COMPARABLE} published under another protocol, split or size: not comparable."


def _shown(value: object) -> str:
    return str(getattr(value, "rule", value))
