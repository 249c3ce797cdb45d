"""Finished tiles of one slide on disk: a run that was killed at any moment continues where it was."""

from __future__ import annotations

import json
import shutil
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from restain.errors import RestainError
from restain.files import write_aside, write_json
from restain.images import RGB
from restain.slides.record import JournalIdentity
from restain.slides.tiling import Tile

_JOB = "job.json"
_OWN = (_JOB, "tiles", "output", "statistics-", "background.json", ".")  # beginnings of names in a journal
KEPT_DECODED = 12  # tiles in memory: an output row passes each tile several times, from left to right
_ZSTD_LEVEL = 1


class Journal:
    """A folder with the pixels of every tile that is done, each file whole or absent.

    The folder belongs to one ``identity``: the slide, the weights and every setting that moves a pixel. Opened with
    another one, it starts from nothing. Pixels are kept without loss, so that what is assembled from them does not
    depend on where a run was interrupted.

    Args:
        folder: made where it does not exist.
        identity: of the run.

    Raises:
        RestainError: there is something else under that name, or files of others in it.
    """

    def __init__(self, folder: Path, identity: JournalIdentity) -> None:
        _refuse_others(folder)
        self.folder = folder
        self._job, self._tiles = folder / _JOB, folder / "tiles"
        self._decoded: OrderedDict[tuple[int, int], RGB] = OrderedDict()
        self._done: set[tuple[int, int]] = set()
        self.division = 1  # sides of a tile are cut by this for the network, where memory was too small
        self._identity = identity.model_dump(mode="json")
        found = self._read_job()
        self.dropped = len(list(self._tiles.glob("[!.]*.zst"))) if found is None else 0  # tiles of another identity
        if found is None:
            shutil.rmtree(folder, ignore_errors=True)
            self._tiles.mkdir(parents=True, exist_ok=True)
            try:
                self._write_job()
            except BaseException:  # nobody's, and so to be refused or thrown away by the next run
                shutil.rmtree(folder, ignore_errors=True)
                raise
        else:
            self.division = found["division"]
            self._done = {_key(path) for path in self._tiles.glob("[!.]*.zst")}

    def _read_job(self) -> dict[str, Any] | None:
        try:
            job = json.loads(self._job.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return job if isinstance(job, dict) and job.get("identity") == self._identity else None

    def _write_job(self) -> None:
        write_json(self._job, {"identity": self._identity, "division": self.division})

    def __len__(self) -> int:
        return len(self._done)

    def __contains__(self, tile: Tile) -> bool:
        return (tile.row, tile.column) in self._done

    def divide(self) -> None:
        """Halve the pieces in which the network takes a tile, from now on and after a restart."""
        self.division *= 2
        self._write_job()

    def save(self, tile: Tile, pixels: RGB) -> None:
        """Keep a finished tile, uint8 (height, width, 3)."""
        with write_aside(self._path(tile)) as temporary:
            temporary.write_bytes(imagecodecs.zstd_encode(pixels.tobytes(), level=_ZSTD_LEVEL))
        self._done.add((tile.row, tile.column))

    def load(self, tile: Tile) -> RGB:
        """The pixels of a finished tile, uint8 (height, width, 3)."""
        key = (tile.row, tile.column)
        if key in self._decoded:
            self._decoded.move_to_end(key)
            return self._decoded[key]
        path, shape = self._path(tile), (*tile.region.size.shape, 3)
        try:
            pixels = np.frombuffer(imagecodecs.zstd_decode(path.read_bytes()), dtype=np.uint8).reshape(shape)
        except (imagecodecs.ZstdError, ValueError) as error:
            raise RestainError(
                f"{path}: is not a finished tile any more ({error}); delete it and run the same command again"
            ) from None
        self._decoded[key] = pixels
        if len(self._decoded) > KEPT_DECODED:
            self._decoded.popitem(last=False)
        return pixels

    def remove(self) -> None:
        """Delete the folder: the slide is finished."""
        self._job.unlink(missing_ok=True)  # first: if this is interrupted, what is left is nobody's
        shutil.rmtree(self.folder)

    def _path(self, tile: Tile) -> Path:
        return self._tiles / f"{tile.row:05d}-{tile.column:05d}.zst"


def _refuse_others(folder: Path) -> None:
    """What does not look like a journal is not replaced, and not written into."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise RestainError(f"{folder}: is no folder; expected nothing there, or the finished tiles of an earlier run")
    strangers = [path for path in folder.iterdir() if not path.name.startswith(_OWN)] if folder.exists() else []
    if strangers:
        raise RestainError(f"{strangers[0]}: was not written by restain; move it out of the folder")


@contextmanager
def open_journal(folder: Path, identity: JournalIdentity) -> Iterator[Journal]:
    """A journal for a block of work; where that fails before a tile is finished, nothing is left behind."""
    journal = Journal(folder, identity)
    try:
        yield journal
    except Exception:  # where it is stopped from outside, what was measured is kept
        if not len(journal):
            journal.remove()
        raise


def discard(folder: Path, identity: JournalIdentity) -> None:
    """Delete what a run of that identity left behind that was killed at its very end; other journals stay."""
    job = folder / _JOB
    try:
        other = json.loads(job.read_text(encoding="utf-8")).get("identity") != identity.model_dump(mode="json")
    except (OSError, ValueError, AttributeError):
        other = False  # nobody's: its removal was interrupted
    if folder.exists() and not other:
        shutil.rmtree(folder)


def _key(path: Path) -> tuple[int, int]:
    row, column = path.stem.split("-")
    return int(row), int(column)
