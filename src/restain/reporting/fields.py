"""Fields of view side by side: H&E, virtual stain, true IHC, each with its scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from restain.errors import RestainError
from restain.images import read_rgb
from restain.reporting.evaluation_files import EvaluationFiles
from restain.reporting.labels import short_path, without_paths
from restain.reporting.pictures import Picture, jpeg_uri, scale_bar, shrink
from restain.reporting.readings import readings
from restain.reporting.selection import choose_fields, describe_rule

FIELD_PIXELS = 2048  # longer side on the page: whole fields of every data set


@dataclass(frozen=True)
class Amount:
    """A measure of one image under each virtual stain, beside its value on the true IHC where it has one."""

    name: str
    values: tuple[float, ...]  # in the order of the stains; NaN where undefined
    true: float
    unit: str


@dataclass(frozen=True)
class ReadingRow:
    """What a pathologist reads of one field, in words: the truth, then a value and a difference for each stain."""

    title: str
    true: str
    stains: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Field:
    """One field of view: why it is shown, its pictures, what is read of it, its scores."""

    letter: str
    id: str
    reason: str
    pictures: tuple[Picture, ...]
    readings: tuple[ReadingRow, ...]
    amounts: tuple[Amount, ...]


@dataclass(frozen=True)
class Fields:
    """The fields of view on the page and what could not be shown."""

    fields: tuple[Field, ...]
    marks: dict[int, str]  # row of per_image.csv -> letter
    total: int
    rule: str  # how they were chosen, in words
    problems: tuple[str, ...]


def fields_section(evaluation: EvaluationFiles, count: int, mpp: float | None) -> Fields:
    """Choose fields of view and embed their images; what is gone is said, not raised."""
    table = evaluation.per_image
    if table is None or "id" not in table:
        return Fields((), {}, 0, "", ("per_image.csv is not there, so no field could be chosen.",))
    sides = {"source": "H&E", **{stain: stain for stain in evaluation.stains}, "real": "true IHC"}
    files = {side: evaluation.images(side) for side in sides}
    problems = [
        f"The folder of {title} images, {short_path(evaluation.image_folder(side))}, is gone."
        for side, title in sides.items()
        if evaluation.image_folder(side) and not files[side]
    ]
    problems += ["No H&E folder was given to the evaluation."] if not evaluation.image_folder("source") else []
    units = {row.name: row.described.unit for row in evaluation.rows}
    fields = []
    choices = choose_fields(table, count)
    for position, choice in enumerate(choices):
        name = table.columns["id"][choice.row]
        pictures = tuple(
            _field_picture(files[side].get(name), name, title, mpp) for side, title in sides.items() if files[side]
        )
        read, amounts = _readings(evaluation, name), _amounts(evaluation, name, units)
        fields.append(Field(_letter(position), name, choice.reason, pictures, read, amounts))
    marks = {choice.row: _letter(position) for position, choice in enumerate(choices)}
    return Fields(tuple(fields), marks, len(table), describe_rule(table), tuple(problems))


def _readings(evaluation: EvaluationFiles, name: str) -> tuple[ReadingRow, ...]:
    """What is read of one field under every stain."""
    rows = []
    for reading in readings(evaluation):
        found = []
        for table in evaluation.tables.values():
            row = table.columns["id"].index(name)
            virtual, true = float(reading.virtual(table)[row]), float(reading.true(table)[row])
            found.append((reading.text(virtual), reading.difference(virtual - true)))
        rows.append(ReadingRow(reading.title, reading.text(true), tuple(found)))
    return tuple(rows)


def _amounts(evaluation: EvaluationFiles, name: str, units: dict[str, str]) -> tuple[Amount, ...]:
    """The scores of one field under every stain."""
    rows = {stain: table.columns["id"].index(name) for stain, table in evaluation.tables.items()}
    columns = next(iter(evaluation.tables.values())).columns
    amounts = []
    for column in columns:
        if column == "id" or column.endswith("_real"):
            continue
        values = tuple(float(table.numbers(column)[rows[stain]]) for stain, table in evaluation.tables.items())
        if not all(math.isnan(value) for value in values):
            stain, table = next(iter(evaluation.tables.items()))
            true = float(table.numbers(f"{column}_real")[rows[stain]])
            amounts.append(Amount(column, values, true, units.get(column, "")))
    return tuple(amounts)


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
        return Picture(without_paths(str(error)), "")
    shown = shrink(rgb, FIELD_PIXELS)
    scale = scale_bar(rgb.shape[1], mpp)
    embedded = mpp * rgb.shape[1] / shown.shape[1] if mpp else None
    return Picture(title, f"{title} of field {name}", jpeg_uri(shown), scale, embedded)
