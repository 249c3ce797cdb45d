"""Images of a study as they are served: tiles in one file, and nothing in an answer that depends on their origin."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from math import ceil, log2
from pathlib import Path
from threading import Lock

from restain.errors import RestainError
from restain.viewer.opened import TILE

OVERVIEW = -1  # level of the small picture for the navigator


def last_level(width: int, height: int) -> int:
    """Number of the finest level of an image; level 0 is one tile, and each is twice as fine as the one before."""
    return max(0, ceil(log2(max(width, height) / TILE)))


class ImageStore:
    """Reads ``images.sqlite``; may be used by several threads.

    Args:
        path: the file.
        size: bytes that every tile is padded to.

    Raises:
        RestainError: it cannot be opened, or is another file.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path, self._size, self._lock = path, size, Lock()
        if not path.is_file():
            raise RestainError(f"{path}: no such file; expected the images of a study")
        self._file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        try:
            with closing(self._file.execute("SELECT 1 FROM tile LIMIT 1")) as found:
                found.fetchone()
        except sqlite3.DatabaseError as error:
            self._file.close()
            raise RestainError(f"{path}: holds no images of a study ({error})") from None

    def tile(self, picture: str, level: int, x: int, y: int) -> bytes:
        """A JPEG, padded behind its end to the common size, so that its length says nothing of what it shows.

        Raises:
            KeyError: no such tile.
            RestainError: the file is damaged.
        """
        try:
            with (
                self._lock,
                closing(
                    self._file.execute(
                        "SELECT jpeg FROM tile WHERE picture = ? AND level = ? AND x = ? AND y = ?",
                        (picture, level, x, y),
                    )
                ) as found,
            ):
                row = found.fetchone()
        except sqlite3.DatabaseError as error:
            raise RestainError(f"{self._path}: cannot be read ({error})") from None
        if row is None:
            raise KeyError((picture, level, x, y))
        return bytes(row[0]).ljust(self._size, b"\0")

    def close(self) -> None:
        """Release the file."""
        self._file.close()
