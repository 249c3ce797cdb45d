"""Answers joined with the key: what each reader said of which arm of which case."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from restain.errors import RestainError
from restain.studies.answers import Answer, AnswerBook
from restain.studies.questions import LEFT, NEITHER, Side
from restain.studies.study_files import Key, Step, Study, steps_of

Arm = Literal["first", "second"]


@dataclass(frozen=True)
class Reading:
    """One item as one reader read it; training cases are none.

    Attributes:
        reader: who.
        session: from 1.
        position: in the reader's order.
        case: as ``study.yaml`` calls it.
        name: of the case's files.
        arm: of the image; of the left image for a pair.
        repeat: the reader had read this item before.
        values: numbers by measure; for a pair, ``chosen`` is 1 where the second arm was chosen, 0 for the first, 0.5
            for neither. Empty where the reader could not assess it.
        unreadable: the reader could not assess it.
        seconds: that it was on a visible screen.
        times_shown: more than 1 where the page was opened again.
        comment: free text.
    """

    reader: str
    session: int
    position: int
    case: str
    name: str
    arm: Arm
    repeat: bool
    values: Mapping[str, float]
    unreadable: bool
    seconds: float
    times_shown: int
    comment: str


def read_readings(study: Study, key: Key, book: AnswerBook) -> tuple[Reading, ...]:
    """All final answers, in the order of readers and positions.

    Raises:
        RestainError: the key does not belong to the study, or an answer is to another image than the study has there.
    """
    _refuse_foreign_key(study, key)
    return tuple(reading for reader in study.readers for reading in _of_reader(study, key, book, reader))


def _refuse_foreign_key(study: Study, key: Key) -> None:
    for case, of in study.cases.items():
        arms = sorted(key.pictures[one].arm if one in key.pictures else "none" for one in of.pictures)
        if arms != ["first", "second"] or case not in key.names:
            raise RestainError(f"key.json: does not name both images of {case}; expected the key of this study")


def _of_reader(study: Study, key: Key, book: AnswerBook, reader: str) -> Iterator[Reading]:
    answers, shown = book.of(reader), book.times_shown(reader)
    seen: set[frozenset[str]] = set()
    for step in steps_of(study, reader):
        answer = answers.get(step.position)
        if step.training:
            continue
        repeat = frozenset(step.item) in seen
        seen.add(frozenset(step.item))
        if answer is None or not answer.final:
            continue
        if answer.item != step.item:
            raise RestainError(
                f"answers.sqlite: {reader} was shown {list(answer.item)} at position {step.position}, and study.yaml "
                f"has {list(step.item)} there; expected the study that was read"
            )
        case = study.case_of[step.item[0]]
        arm = key.pictures[step.item[0]].arm
        assert arm != "he"  # _refuse_foreign_key
        yield Reading(
            reader=reader,
            session=step.session + 1,
            position=step.position,
            case=case,
            name=key.names[case],
            arm=arm,
            repeat=repeat,
            values=_values(study, step, answer, arm),
            unreadable=answer.unreadable,
            seconds=answer.seconds,
            times_shown=shown.get(step.position, 1),
            comment=answer.comment,
        )


def _values(study: Study, step: Step, answer: Answer, left: Arm) -> dict[str, float]:
    values: dict[str, float] = {}
    for question in study.questions:
        if answer.unreadable or question.id not in answer.answers:
            continue
        given = question.values(answer.answers[question.id])
        if isinstance(question, Side):
            side = given[question.id]
            on_left = side == LEFT
            values["chosen"] = 0.5 if side == NEITHER else float(on_left == (left == "second"))
        else:
            values.update(given)
    return values
