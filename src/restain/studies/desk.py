"""What a reader sees now, and what becomes of the answer: one item at a time, sessions apart by their washout."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from restain.errors import RestainError, in_short
from restain.studies.answers import Answer, AnswerBook
from restain.studies.image_store import OVERVIEW, ImageStore, last_level
from restain.studies.questions import check_answer
from restain.studies.study_files import Links, Step, Study, steps_of
from restain.viewer.opened import TILE

_LABELS = {1: ("IHC",), 2: ("Left", "Right")}
_LONGEST_COMMENT = 4000  # characters
_DAY = 24 * 3600.0  # seconds


class _Sent(BaseModel):
    """What the page sends."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    position: int = Field(ge=0)
    answers: dict[str, Any] = Field(max_length=20)
    comment: str = Field(max_length=_LONGEST_COMMENT)
    unreadable: bool
    seconds: float = Field(ge=0, le=10 * _DAY)
    final: bool


@dataclass(frozen=True)
class _Place:
    """Where a reader is in the study."""

    status: Literal["reading", "waiting", "finished"]
    step: Step | None  # that is next, even while the reader has to wait
    opens: datetime | None  # when the wait ends


class Desk:
    """The study as its readers meet it; may be used by several threads.

    Args:
        study: what is decided.
        links: secret of the ids in addresses.
        images: what is shown.
        book: where answers are kept.
        now: the time in UTC; another clock is for tests.
    """

    def __init__(
        self,
        study: Study,
        links: Links,
        images: ImageStore,
        book: AnswerBook,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._study, self._images, self._book, self._now = study, images, book, now
        self._secret = bytes.fromhex(links.secret)
        self._readers = {token: reader for reader, token in links.tokens.items()}
        self._steps = {reader: steps_of(study, reader) for reader in study.readers}
        self._home = study.case_of
        self._cases = {
            picture: case for case in study.cases.values() for picture in (*case.pictures, case.he) if picture
        }

    def reader(self, token: str) -> str:
        """Whose link it is."""
        return self._readers[token]

    def state(self, reader: str) -> dict[str, Any]:
        """What the page shows: where the reader is, and the item that is to be read now."""
        given, place = self._place(reader)
        steps = self._steps[reader]
        state: dict[str, Any] = {
            "title": self._study.title,
            "reader": reader,
            "status": place.status,
            "done": sum(answer.final for answer in given.values()),
            "total": len(steps),
            "session": (place.step or steps[-1]).session + 1,
            "sessions": steps[-1].session + 1,
            "opens": place.opens.isoformat(timespec="seconds") if place.opens else None,
            "item": None,
        }
        if place.status == "reading" and place.step is not None:
            self._book.note_shown(reader, place.step.position)
            state["item"] = self._item(reader, place.step, given.get(place.step.position))
        return state

    def description(self, reader: str, id: str) -> dict[str, Any]:
        """Size and scale of an image of the item that is to be read now, in the words of the viewer's page.

        Raises:
            KeyError: no such image, or not now.
        """
        picture = self._shown(reader)[id]
        case = self._cases[picture]
        return {
            "id": id,
            "width": case.width,
            "height": case.height,
            "tile": TILE,
            "last_level": last_level(case.width, case.height),
            "mpp": self._study.encoding.mpp,
            "scale_known": self._study.encoding.scale_known,
            "notes": [],
            "overlays": [],
        }

    def tile(self, reader: str, id: str, level: int, column: int, row: int) -> bytes:
        """A tile of an image of the item that is to be read now, padded; raises as ``description``."""
        return self._images.tile(self._shown(reader)[id], level, column, row)

    def overview(self, reader: str, id: str) -> bytes:
        """A small JPEG of the whole image, padded; raises as ``description``."""
        return self._images.tile(self._shown(reader)[id], OVERVIEW, 0, 0)

    def save(self, reader: str, content: bytes) -> dict[str, Any]:
        """Keep an answer or a draft, and give the state after it.

        What is sent for an item that was answered already changes nothing: the page had not heard of it.

        Raises:
            RestainError: it is no answer to the questions, or not to the item that is to be read now.
        """
        try:
            sent = _Sent.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            raise RestainError(f"{'.'.join(map(str, first['loc'])) or 'answer'}: {first['msg']}") from None
        except ValueError as error:  # bytes that are no text
            raise RestainError(f"answer: {in_short(error)}") from None
        given, place = self._place(reader)
        if not (known := given.get(sent.position)) or not known.final:
            step = place.step
            if place.status != "reading" or step is None or step.position != sent.position:
                raise RestainError(f"position: is {sent.position}; expected the case that is to be read now")
            if sent.unreadable and self._study.paired:
                raise RestainError("unreadable: is true; expected a choice between the two images")
            check_answer(self._study.questions, sent.answers, complete=sent.final and not sent.unreadable)
            answers = {} if sent.unreadable else sent.answers
            self._book.save(
                reader,
                Answer(
                    sent.position, step.item, answers, sent.comment, sent.unreadable, sent.seconds, sent.final,
                    self._now(),
                ),
            )  # fmt: skip
        return self.state(reader) if sent.final else {"saved": sent.position}

    def progress(self, reader: str) -> tuple[int, int]:
        """Items that are answered, and all."""
        return sum(answer.final for answer in self._book.of(reader).values()), len(self._steps[reader])

    def _place(self, reader: str) -> tuple[dict[int, Answer], _Place]:
        given = self._book.of(reader)
        final = {position: answer for position, answer in given.items() if answer.final}
        step = next((step for step in self._steps[reader] if step.position not in final), None)
        if step is None:
            return given, _Place("finished", None, None)
        before = [final[other.position].saved_at for other in self._steps[reader] if other.session == step.session - 1]
        if before:
            opens = max(before) + timedelta(days=self._study.washout_days)
            if self._now() < opens:
                return given, _Place("waiting", step, opens)
        return given, _Place("reading", step, None)

    def _item(self, reader: str, step: Step, draft: Answer | None) -> dict[str, Any]:
        labels = ["H&E", *_LABELS[len(step.item)]] if self._he(step) else list(_LABELS[len(step.item)])
        roles = ["he" if label == "H&E" else "other" for label in labels]
        pictures = [
            {"id": id, "role": role, "label": label, "file": label}
            for id, role, label in zip(self._ids(reader, step), roles, labels, strict=True)
        ]
        return {
            "position": step.position,
            "training": step.training,
            "pictures": pictures,
            "unreadable_allowed": not self._study.paired,
            "questions": [
                question.model_dump(mode="json", exclude={"cutoffs", "lowest"}) for question in self._study.questions
            ],
            "answers": dict(draft.answers) if draft else {},
            "comment": draft.comment if draft else "",
            "unreadable": draft.unreadable if draft else False,
            "seconds": draft.seconds if draft else 0.0,
        }

    def _shown(self, reader: str) -> dict[str, str]:
        """Images of the item that is to be read now, by the ids in their addresses."""
        _, place = self._place(reader)
        if place.status != "reading" or place.step is None:
            return {}
        return self._ids(reader, place.step)

    def _ids(self, reader: str, step: Step) -> dict[str, str]:
        he = self._he(step)
        pictures = [*([he] if he else []), *step.item]
        return {self._id(reader, step.position, place): picture for place, picture in enumerate(pictures)}

    def _id(self, reader: str, position: int, place: int) -> str:
        """Of a place on a reader's screen, not of an image: an image that comes again has another id."""
        what = f"{reader}/{position}/{place}".encode()
        return hmac.digest(self._secret, what, hashlib.sha256).hex()[:18]

    def _he(self, step: Step) -> str | None:
        return self._study.cases[self._home[step.item[0]]].he
