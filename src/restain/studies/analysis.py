"""``restain study analyse``: the key is opened, and the answers become tables, JSON and a page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np

from restain.errors import RestainError
from restain.files import write_json, write_text
from restain.studies.agreements import Readings, agreements, confusions
from restain.studies.answers import AnswerBook
from restain.studies.outcomes import choices, noninferiority, ratings
from restain.studies.readings import Arm, Reading, read_readings
from restain.studies.results import Analysis, Comment, Estimate, Reader, Seconds
from restain.studies.study_files import ANSWERS, Study, read_key, read_study, steps_of, study_fingerprint
from restain.studies.study_page import render_page

ANALYSIS, READINGS, AGREEMENT, PAGE = "analysis.json", "readings.csv", "agreement.csv", "study.html"


def analyse_study(study: str | Path, *, out: str | Path) -> Analysis:
    """Join the readers' answers with the key, and measure how far virtual and real stains agree.

    Writes ``analysis.json`` (everything), ``readings.csv`` (a row a reading, unblinded), ``agreement.csv`` and
    ``study.html``. Training cases are left out; repeats count only for the agreement of a reader with himself or
    herself.

    Args:
        study: folder of the study, with ``key.json`` and ``answers.sqlite`` in it.
        out: folder to write.

    Returns:
        what ``analysis.json`` holds.

    Raises:
        RestainError: the folder is no study, the key or the answers are missing or of another study, or there is no
            answer yet.
    """
    folder, out = Path(study), Path(out)
    decided, key = read_study(folder), read_key(folder)
    if not (folder / ANSWERS).is_file():
        raise RestainError(f"{folder / ANSWERS}: no such file; expected the answers of at least one reader")
    book = AnswerBook(folder / ANSWERS)
    try:
        found = read_readings(decided, key, book)
        fingerprint = study_fingerprint(folder)
        unchanged = book.fingerprint(fingerprint) == fingerprint
    finally:
        book.close()
    if not found:
        raise RestainError(f"{folder / ANSWERS}: holds no answer to a case that is analysed; expected at least one")
    readings = Readings(decided, key.arms, found)
    analysis = _analyse(readings, fingerprint, unchanged)
    write_json(out / ANALYSIS, analysis.model_dump(mode="json"))
    write_text(out / READINGS, _readings_table(readings))
    write_text(out / AGREEMENT, _agreement_table(analysis))
    write_text(out / PAGE, render_page(analysis))
    return analysis


def _analyse(of: Readings, fingerprint: str, unchanged: bool) -> Analysis:
    study = of.study
    chosen = tuple(choices(of))
    return Analysis(
        title=study.title,
        design=study.design,
        marker=study.marker,
        arms=(of.names["first"], of.names["second"]),
        seed=study.seed,
        margin=study.margin,
        restain=metadata.version("restain"),
        study_sha256=fingerprint,
        warnings=tuple(_warnings(of, unchanged)),
        readers=tuple(_reader(of, reader) for reader in of.readers),
        cases=len({one.case for one in of.readings}),
        groups=study.groups,
        noninferiority=tuple(noninferiority(of, chosen)),
        agreement=tuple(agreements(of)),
        confusion=tuple(confusions(of)),
        ratings=tuple(ratings(of)),
        choices=chosen,
        seconds=tuple(_seconds(of)),
        comments=tuple(
            Comment(reader=one.reader, case=one.name, arm=_arm_name(of, one), text=one.comment)
            for one in of.readings
            if one.comment.strip()
        ),
    )


def _warnings(of: Readings, unchanged: bool) -> Iterator[str]:
    if not unchanged:
        yield "study.yaml was changed after the first answer: what it says now was not decided beforehand"
    expected = sum(_expected(of.study, reader) for reader in of.readers)
    if len(of.readings) < expected:
        yield f"{expected - len(of.readings)} of {expected} readings are missing: the study is not complete"
    unreadable = [one for one in of.readings if one.unreadable]
    if unreadable:
        yield f"{len(unreadable)} readings have no answer, because the image could not be assessed"


def _expected(study: Study, reader: str) -> int:
    return sum(not step.training for step in steps_of(study, reader))


def _reader(of: Readings, reader: str) -> Reader:
    own = [one for one in of.readings if one.reader == reader]
    unreadable = {name: sum(one.unreadable and one.arm == arm for one in own) for arm, name in of.names.items()}
    return Reader(
        name=reader,
        answered=len(own),
        expected=_expected(of.study, reader),
        unreadable={} if of.study.paired else unreadable,
        reopened=sum(one.times_shown > 1 for one in own),
    )


def _arm_name(of: Readings, reading: Reading) -> str:
    """Of the image, or "both" for a pair."""
    return "both" if of.study.paired else of.names[reading.arm]


def _seconds(of: Readings) -> Iterator[Seconds]:
    arms: tuple[Arm | None, ...] = (None,) if of.study.paired else ("first", "second")
    groups = [of.readers] if len(of.readers) > 1 else []
    groups += [(reader,) for reader in of.readers]
    for readers in groups:
        for arm in arms:
            took = [one.seconds for one in of.readings if one.reader in readers and arm in (None, one.arm)]
            if took:
                low, median, high = (float(value) for value in np.percentile(took, [25, 50, 75]))
                name = "both" if arm is None else of.names[arm]
                yield Seconds(readers=readers, arm=name, n=len(took), median=median, quartiles=(low, high))


def _readings_table(of: Readings) -> str:
    measures = ["chosen"] if of.study.paired else [measure.name for measure in of.measures]
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\n")
    arm = "left" if of.study.paired else "arm"
    fixed = ["reader", "session", "position", "case", "name", arm, "repeat", "unreadable"]
    table.writerow([*fixed, *measures, "seconds", "times_shown", "comment"])
    for one in of.readings:
        values = [_chosen(of, one) if name == "chosen" else one.values.get(name, "") for name in measures]
        row = [one.reader, one.session, one.position, one.case, one.name, of.names[one.arm], int(one.repeat)]
        table.writerow([*row, int(one.unreadable), *values, one.seconds, one.times_shown, one.comment])
    return held.getvalue()


def _chosen(of: Readings, reading: Reading) -> str:
    value = reading.values.get("chosen")
    if value is None or value == 0.5:
        return "" if value is None else "neither"
    return of.names["second" if value else "first"]


def _agreement_table(analysis: Analysis) -> str:
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\n")
    kinds = ("kappa", "icc", "identical", "bias")
    columns = [f"{kind}{end}" for kind in kinds for end in ("", "_low", "_high")]
    table.writerow(["measure", "comparison", "readers", "pooled", "n", "groups", *columns, "note"])
    for row in analysis.agreement:
        estimates: list[Estimate | None] = [row.kappa, row.icc, row.identical, row.bias]
        first = next(one for one in estimates if one is not None)
        numbers = [number for one in estimates for number in _three(one)]
        fixed = [row.measure, row.comparison, " ".join(row.readers), int(row.pooled), first.n, first.groups]
        table.writerow([*fixed, *numbers, first.note])
    return held.getvalue()


def _three(estimate: Estimate | None) -> list[float | str]:
    if estimate is None or estimate.value is None:
        return ["", "", ""]
    return [estimate.value, *(estimate.ci95 or ("", ""))]
