"""The readers' answers in ``answers.sqlite``: on the disk before the page hears that they were saved."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from restain.errors import RestainError

_BUSY = 10.0  # seconds to wait for another process that writes
_TABLES = """
CREATE TABLE IF NOT EXISTS answer (
    reader TEXT, position INTEGER, item TEXT, answers TEXT, comment TEXT, unreadable INTEGER, seconds REAL,
    final INTEGER, saved_at TEXT, PRIMARY KEY (reader, position)
);
CREATE TABLE IF NOT EXISTS shown (reader TEXT, position INTEGER, at TEXT);
CREATE TABLE IF NOT EXISTS study (fingerprint TEXT);
"""


@dataclass(frozen=True)
class Answer:
    """What a reader said about one item.

    Attributes:
        position: of the item in the reader's order.
        item: the images that were shown, from left to right.
        answers: by question.
        comment: free text.
        unreadable: the reader could not assess it; there are no answers then.
        seconds: that the item was on a visible screen.
        final: the reader went on to the next item; before that it is a draft.
        saved_at: in UTC.
    """

    position: int
    item: tuple[str, ...]
    answers: Mapping[str, Any]
    comment: str
    unreadable: bool
    seconds: float
    final: bool
    saved_at: datetime


class AnswerBook:
    """The answers of a study; may be used by several threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        try:
            self._file = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=FULL")  # what was saved outlives a power cut, not only a kill
            self._file.executescript(_TABLES)
        except sqlite3.Error as error:
            raise RestainError(f"{path}: cannot be opened ({error}); expected the answers of a study") from None

    def save(self, reader: str, answer: Answer) -> bool:
        """Keep an answer; False where a final one is there already, which nothing replaces."""
        row = (
            reader, answer.position, json.dumps(answer.item), json.dumps(dict(answer.answers)), answer.comment,
            answer.unreadable, answer.seconds, answer.final, answer.saved_at.isoformat(),
        )  # fmt: skip
        changed = self._run(
            "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET item = excluded.item, "
            "answers = excluded.answers, comment = excluded.comment, unreadable = excluded.unreadable, "
            "seconds = excluded.seconds, final = excluded.final, saved_at = excluded.saved_at WHERE NOT final "
            "RETURNING 1",
            row,
        )
        return bool(changed)

    def of(self, reader: str) -> dict[int, Answer]:
        """Answers and drafts of a reader by position."""
        rows = self._run(
            "SELECT position, item, answers, comment, unreadable, seconds, final, saved_at FROM answer "
            "WHERE reader = ? ORDER BY position",
            (reader,),
        )
        return {
            position: Answer(
                position, tuple(json.loads(item)), json.loads(answers), comment, bool(unreadable), seconds,
                bool(final), datetime.fromisoformat(saved_at),
            )
            for position, item, answers, comment, unreadable, seconds, final, saved_at in rows
        }  # fmt: skip

    def note_shown(self, reader: str, position: int) -> None:
        """Record that an item was handed to a reader's page."""
        self._run("INSERT INTO shown VALUES (?, ?, ?)", (reader, position, datetime.now(UTC).isoformat()))

    def times_shown(self, reader: str) -> dict[int, int]:
        """How often each item was handed to a reader's page; more than once where the page was opened again."""
        rows = self._run("SELECT position, COUNT(*) FROM shown WHERE reader = ? GROUP BY position", (reader,))
        return dict(rows)

    def note_study(self, current: str) -> None:
        """Record the fingerprint of the study that is served, unless a final answer was given to it or another."""
        if not self._run("SELECT 1 FROM answer WHERE final LIMIT 1", ()):
            self._run("DELETE FROM study", ())
            self._run("INSERT INTO study VALUES (?)", (current,))

    def fingerprint(self, current: str) -> str:
        """Of the study as it was when the first final answer came; ``current`` while there is none."""
        if not self._run("SELECT 1 FROM answer WHERE final LIMIT 1", ()):
            return current
        kept = self._run("SELECT fingerprint FROM study", ())
        return str(kept[0][0]) if kept else "unknown"

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        try:
            with self._lock, closing(self._file.execute(statement, values)) as found:
                return found.fetchall()
        except sqlite3.Error as error:
            raise RestainError(f"{self._path}: cannot be read or written ({error})") from None
