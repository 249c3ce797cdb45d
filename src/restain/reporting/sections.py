"""Each part of the page as plain values for the template."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restain.errors import RestainError
from restain.images import RGB, read_rgb
from restain.reporting import charts
from restain.reporting.evaluation_files import VIRTUAL, EvaluationFiles, Figure, MetricRow
from restain.reporting.pictures import colour_bar, jpeg_uri, overlay, read_grey, shrink, svg_uri
from restain.reporting.run_files import RunFiles
from restain.reporting.selection import choose_fields
from restain.reporting.words import command_text, number

FIELD_PIXELS, ATTENTION_PIXELS, GRID_PIXELS = 512, 384, 900  # longer side on the page
SIDES = {"source": "H&E", "fake": "virtual stain", "real": "true IHC"}
SCALE_BARS = (1000, 500, 200, 100, 50, 20, 10, 5)  # microns


@dataclass(frozen=True)
class Fact:
    """One line of a definition list."""

    name: str
    value: str


@dataclass(frozen=True)
class Picture:
    """An embedded image with its words; without an ``uri``, ``caption`` says why it cannot be shown."""

    caption: str
    alt: str
    uri: str = ""
    scale: tuple[int, float] | None = None  # (microns, percent of the width)


@dataclass(frozen=True)
class Amount:
    """A metric of one image, beside its value on the true IHC where it has one."""

    name: str
    value: float
    true: float
    unit: str


@dataclass(frozen=True)
class Field:
    """One field of view: why it is shown, its pictures, its figures."""

    letter: str
    id: str
    reason: str
    pictures: tuple[Picture, ...]
    amounts: tuple[Amount, ...]


@dataclass(frozen=True)
class Fields:
    """The fields of view on the page and what could not be shown."""

    fields: tuple[Field, ...]
    marks: dict[int, str]  # row of per_image.csv -> letter
    total: int
    problems: tuple[str, ...]


def facts(run: RunFiles | None, evaluation: EvaluationFiles | None) -> list[Fact]:
    """The few lines under the title that say what was made of what."""
    lines = []
    if run:
        splits = run.data.get("splits")
        counts = ", ".join(f"{count} {name}" for name, count in splits.items()) if isinstance(splits, dict) else ""
        mpp = run.stainer.get("mpp")
        lines += [
            Fact("Recipe", run.recipe_name),
            Fact("Images", counts),
            Fact("Pixel size", f"{mpp} µm" if mpp else ""),
            Fact("Steps", _last(run, "step")),
            Fact("Speed", _speed(run)),
            Fact("Trained", str(run.environment.get("started") or "").replace("T", " ")[:16]),
        ]
    if evaluation:
        lines += [
            Fact("Judged on", f"{evaluation.summary['n']} images" if evaluation.summary.get("n") else ""),
            Fact("Resolution", str(evaluation.summary.get("resolution") or "")),
            Fact("Protocol", str(evaluation.summary.get("protocol") or "")),
        ]
    return [line for line in lines if line.value]


def _last(run: RunFiles, column: str) -> str:
    values = run.log.numbers(column) if run.log else np.array([])
    values = values[np.isfinite(values)]
    return number(float(values[-1])) if len(values) and values[-1] % 1 else f"{values[-1]:,.0f}" if len(values) else ""


def _speed(run: RunFiles) -> str:
    values = run.log.numbers("images_per_second") if run.log else np.array([])
    values = values[np.isfinite(values)]
    return f"{number(float(np.median(values)))} images/s (median)" if len(values) else ""


def fields_section(evaluation: EvaluationFiles, count: int, mpp: float | None) -> Fields:
    """Choose fields of view and embed their images; what is gone is said, not raised."""
    table = evaluation.per_image
    if table is None or "id" not in table:
        return Fields((), {}, 0, ("per_image.csv is not there, so no field could be chosen.",))
    files = {side: evaluation.images(side) for side in SIDES}
    problems = [
        f"The folder of {SIDES[side]} images is gone: {evaluation.image_folder(side)}."
        for side in SIDES
        if evaluation.image_folder(side) and not files[side]
    ]
    problems += ["No H&E folder was given to the evaluation."] if not evaluation.image_folder("source") else []
    units = {row.name: row.unit for row in evaluation.rows}
    fields = []
    choices = choose_fields(table, count)
    for position, choice in enumerate(choices):
        name = table.columns["id"][choice.row]
        pictures = tuple(
            _field_picture(files[side].get(name), name, title, mpp) for side, title in SIDES.items() if files[side]
        )
        amounts = tuple(
            Amount(column, values[choice.row], table.numbers(f"{column}_real")[choice.row], units.get(column, ""))
            for column in table.columns
            if column != "id" and not column.endswith("_real")
            for values in [table.numbers(column)]
            if not math.isnan(values[choice.row])
        )
        fields.append(Field(_letter(position), name, choice.reason, pictures, amounts))
    marks = {choice.row: _letter(position) for position, choice in enumerate(choices)}
    return Fields(tuple(fields), marks, len(table), tuple(problems))


def _letter(position: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    tail = chr(ord("A") + position % 26)
    return tail if position < 26 else _letter(position // 26 - 1) + tail


def _field_picture(path: Path | None, name: str, title: str, mpp: float | None) -> Picture:
    if path is None:
        return Picture(f"{title}: not in its folder", "")
    try:
        rgb = read_rgb(path)
    except RestainError as error:
        return Picture(str(error), "")
    return Picture(
        title, f"{title} of field {name}", jpeg_uri(shrink(rgb, FIELD_PIXELS)), scale_bar(rgb.shape[1], mpp)
    )


def scale_bar(width: int, mpp: float | None) -> tuple[int, float] | None:
    """The longest round length of at most 30 % of an image's width: (microns, percent of the width)."""
    if mpp is None:
        return None
    for microns in SCALE_BARS:
        percent = 100.0 * microns / (mpp * width)
        if percent <= 30.0:
            return microns, percent
    return None


@dataclass(frozen=True)
class Cell:
    """One system's figure in a row; ``beats`` where a yardstick's mean is at least as good as the virtual's."""

    system: str
    figure: Figure | None
    beats: bool
    span: tuple[float, float, float] | None  # low, mean, high in percent of the row's common axis

    @property
    def half_width(self) -> float:
        """Half of the interval; NaN where there is none."""
        return (self.figure.high - self.figure.low) / 2 if self.figure else math.nan


@dataclass(frozen=True)
class TableRow:
    """A metric and its cells, one a system."""

    metric: MetricRow
    cells: tuple[Cell, ...]


def figures_table(evaluation: EvaluationFiles) -> list[TableRow]:
    """The figures, virtual stain first, then the yardsticks."""
    rows = []
    for metric in evaluation.rows:
        ends = [
            value
            for figure in metric.figures.values()
            for value in (figure.low, figure.mean, figure.high)
            if math.isfinite(value)
        ]
        axis = (min(ends), max(ends)) if ends else (0.0, 0.0)
        cells = tuple(_cell(metric, system, axis) for system in evaluation.systems)
        rows.append(TableRow(metric, cells))
    return rows


def _cell(metric: MetricRow, system: str, axis: tuple[float, float]) -> Cell:
    figure, virtual = metric.figures.get(system), metric.figures.get(VIRTUAL)
    beats = False
    if figure and virtual and system != VIRTUAL:
        better = {"higher": figure.mean >= virtual.mean, "lower": figure.mean <= virtual.mean}
        beats = better.get(metric.direction, False)
    span = None
    if figure and axis[1] > axis[0] and math.isfinite(figure.mean):
        ends = [value if math.isfinite(value) else figure.mean for value in (figure.low, figure.mean, figure.high)]
        low, mean, high = (100.0 * (end - axis[0]) / (axis[1] - axis[0]) for end in ends)
        span = (low, mean, high)
    return Cell(system, figure, beats, span)


def scatter_uri(evaluation: EvaluationFiles, marks: dict[int, str]) -> str | None:
    """DAB of the virtual stain against the true IHC, a point an image; None where the table has no DAB."""
    table = evaluation.per_image
    if table is None:
        return None
    units = {row.name: row.unit for row in evaluation.rows}
    wanted = {"dab_mean_od": "DAB mean OD", "dab_positive_area": "DAB positive area"}
    panels = [
        charts.ScatterPanel(title, units.get(name, ""), table.numbers(f"{name}_real"), table.numbers(name), marks)
        for name, title in wanted.items()
        if name in table and f"{name}_real" in table
    ]
    return svg_uri(charts.scatter(panels)) if panels else None


@dataclass(frozen=True)
class AttentionRow:
    """The IHC of one field and its overlays, one a layer."""

    id: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Attention:
    """Attention maps of the run, and the colour scale they are drawn in."""

    rows: tuple[AttentionRow, ...]
    scale: str


def attention_section(run: RunFiles, count: int = 4) -> Attention:
    """The first ``count`` fields with their attention over the IHC."""
    rows = []
    for field in run.attention[:count]:
        ihc = shrink(read_rgb(field.ihc), ATTENTION_PIXELS)
        pictures = [Picture("true IHC", f"True IHC of field {field.id}", jpeg_uri(ihc))]
        for layer, path in field.layers.items():
            grey = read_grey(path)
            caption = f"{layer}, {grey.shape[0]} × {grey.shape[1]}"
            alt = f"Attention of {layer} over the true IHC of field {field.id}"
            pictures.append(Picture(caption, alt, jpeg_uri(overlay(ihc, grey))))
        rows.append(AttentionRow(field.id, tuple(pictures)))
    return Attention(tuple(rows), jpeg_uri(colour_bar()))


def curves_uri(run: RunFiles) -> str | None:
    """The training curves; None without a log that holds numbers."""
    svg = charts.curves(run.log) if run.log is not None and len(run.log) else None
    return svg_uri(svg) if svg else None


def sample_section(run: RunFiles, count: int = 4) -> list[Picture]:
    """Up to ``count`` sample grids at even distances in time, the first and the last among them."""
    total = len(run.samples)
    positions = np.linspace(0, total - 1, min(count, total)).round().astype(int).tolist()
    if count == 1 and total:
        positions = [total - 1]
    grids: list[tuple[int, RGB]] = [
        (step, read_rgb(path)) for step, path in (run.samples[position] for position in positions)
    ]
    return [
        Picture(
            f"step {step:,}",
            f"Samples at step {step}: H&E, virtual stain, true IHC",
            jpeg_uri(shrink(grid, GRID_PIXELS)),
        )
        for step, grid in grids
    ]


def provenance(run: RunFiles | None, evaluation: EvaluationFiles | None) -> list[tuple[str, list[Fact]]]:
    """Where everything came from: (heading, lines) for the run and the evaluation."""
    groups = []
    if run:
        environment, git = run.environment, run.environment.get("git")
        groups.append(
            (
                "Training",
                _known(
                    {
                        "command": command_text(environment.get("command")),
                        "started": environment.get("started"),
                        "restain": environment.get("restain"),
                        "python": environment.get("python"),
                        "torch": environment.get("torch"),
                        "device": environment.get("device"),
                        "git": _git_text(git),
                        "data": run.data.get("root"),
                        "layout": run.data.get("layout"),
                        "data fingerprint": run.data.get("fingerprint"),
                        "weights SHA-256": run.stainer.get("weights_sha256"),
                        "run folder": str(run.folder),
                    }
                ),
            )
        )
    if evaluation:
        summary = evaluation.summary
        versions, folders = summary.get("versions"), summary.get("folders")
        lines: dict[str, Any] = {
            "command": command_text(summary.get("command")),
            "restain": summary.get("restain"),
            **(versions if isinstance(versions, dict) else {}),
            "protocol": summary.get("protocol"),
            "bootstrap seed": summary.get("seed"),
            **{f"{side} images": path for side, path in (folders or {}).items()},
            "image files SHA-256": summary.get("files_sha256"),
            "evaluation folder": str(evaluation.folder),
        }
        groups.append(("Evaluation", _known(lines)))
    return groups


def _git_text(git: Any) -> str:
    if not isinstance(git, dict) or not git.get("commit"):
        return ""
    return f"{git['commit']}{' with uncommitted changes' if git.get('dirty') else ''}"


def _known(lines: dict[str, Any]) -> list[Fact]:
    return [Fact(name, str(value)) for name, value in lines.items() if value not in (None, "", [], {})]
