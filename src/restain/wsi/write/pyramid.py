"""One pyramidal slide file, streamed, that OpenSlide, tifffile, Bio-Formats and libvips all open."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata as packages
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from restain.errors import RestainError, in_short
from restain.images import RGB
from restain.wsi.geometry import Size
from restain.wsi.write import bigtiff
from restain.wsi.write.bigtiff import Entry, Tag
from restain.wsi.write.downsample import downsample, level_sizes
from restain.wsi.write.encoding import DEFAULT_ENCODING
from restain.wsi.write.encoding import Encoding as Encoding
from restain.wsi.write.ome_xml import SlideMetadata as SlideMetadata
from restain.wsi.write.ome_xml import write_omexml

_AHEAD = 2  # tiles in work or waiting, for each worker

Tiles: TypeAlias = Sequence[RGB | None]
Encoded: TypeAlias = tuple[bytes | None, RGB | None]  # a tile's stream and its half; background has neither


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file that the disk refused."""
    try:
        yield
    except OSError as error:
        raise RestainError(f"{path}: cannot be written ({error.strerror or in_short(error)})") from error


def _result(future: Future[Encoded] | None) -> Encoded:
    return (None, None) if future is None else future.result()


@dataclass
class _Level:
    """One level while it is written."""

    height: int
    width: int
    rows: int
    columns: int
    offsets: npt.NDArray[np.uint64] = field(init=False)  # where each tile starts in the file
    lengths: npt.NDArray[np.uint64] = field(init=False)
    row: int = 0  # the next one to be written
    above: list[RGB | None] = field(default_factory=list)  # halved tiles of an even row that waits for its odd one

    def __post_init__(self) -> None:
        self.offsets, self.lengths = (np.zeros(self.rows * self.columns, dtype=np.uint64) for _ in range(2))


class PyramidWriter:
    """Writes a slide row by row of tiles, top to bottom, with all its levels, in one pass over the disk.

    Tiles of every level are appended as soon as they exist; the directories follow at the end. Until then the header
    leads nowhere, so that a file that was cut off cannot be mistaken for a slide. Plain background is encoded once and
    all its tiles point there, so that it costs neither time nor space. The same tiles and metadata give the same
    bytes, whenever and with however many workers.

    Memory, beside the row that the caller hands in: at most as much again (halved tiles of each level, which wait for
    the row below theirs) and 8 tiles for each worker.

    ``write_row`` returns when the row is on its way to the disk: give it a thread of its own, where something else is
    to be done meanwhile.

    Example:
        with PyramidWriter(path, Size(width, height), metadata, background=(243, 243, 243)) as writer:
            for row in rows:
                writer.write_row(row)
    """

    def __init__(
        self,
        path: Path,
        size: Size,
        metadata: SlideMetadata,
        *,
        background: tuple[int, int, int],
        encoding: Encoding = DEFAULT_ENCODING,
        workers: int = 2,
    ) -> None:
        """Prepare; the file is opened by ``with``.

        Args:
            path: file to write; where another is to be replaced, name a temporary file and rename it afterwards.
            size: of the finest level.
            metadata: scale, description and colour profile.
            background: RGB of the tiles that are given as None.
            encoding: how pixels are kept.
            workers: threads that encode.
        """
        if min(size.shape) < 1:
            raise RestainError(f"{path}: a slide of {size} pixels cannot be written")
        self.path, self.size, self.metadata, self.encoding = path, size, metadata, encoding
        tile = encoding.tile
        self._levels = [
            _Level(level.height, level.width, -(-level.height // tile), -(-level.width // tile))
            for level in level_sizes(size)
        ]
        self._plain = np.full((tile, tile, 3), background, dtype=np.uint8)
        self._plain_at: tuple[int, int] | None = None  # (offset, length) once it is in the file
        self._workers = workers
        self._digest = hashlib.blake2b(digest_size=16)

    def __enter__(self) -> PyramidWriter:
        with _named(self.path):
            self._file = self.path.open("wb")
            self._file.write(bigtiff.HEADER)
        self._end = len(bigtiff.HEADER)
        self._pool = ThreadPoolExecutor(self._workers, "encode")
        return self

    def write_row(self, tiles: Tiles) -> None:
        """Append the next row of the finest level.

        Args:
            tiles: left to right, each (tile, tile, 3), or cropped at the slide's right and bottom edge; None is
                plain background.

        Raises:
            RestainError: the disk refuses.
            ValueError: more rows than the slide has, or a tile of another shape.
        """
        level = self._levels[0]
        if level.row == level.rows or len(tiles) != level.columns:
            raise ValueError(
                f"row {level.row} of {len(tiles)} tiles; the slide has {level.rows} rows of {level.columns} tiles"
            )
        with _named(self.path):
            self._write_row(0, [self._cropped(tile, column) for column, tile in enumerate(tiles)])

    def _cropped(self, tile: RGB | None, column: int) -> RGB | None:
        """The part of a tile that lies on the slide."""
        if tile is None:
            return None
        height, width = self._extent(0, column)
        full = self.encoding.tile
        if tile.dtype != np.uint8 or tile.shape not in {(height, width, 3), (full, full, 3)}:
            raise ValueError(f"tile of {tile.dtype} {tile.shape}; expected uint8 {(height, width, 3)}")
        return tile[:height, :width]

    def _extent(self, index: int, column: int) -> tuple[int, int]:
        """(height, width) of a tile in the row that a level is at: less than a tile at the slide's edges."""
        level, tile = self._levels[index], self.encoding.tile
        return min(tile, level.height - level.row * tile), min(tile, level.width - column * tile)

    def _write_row(self, index: int, tiles: Iterable[RGB | None]) -> None:
        """Write a row of a level and, when it completes a pair, the row of the next level that the two make."""
        level, coarser = self._levels[index], index + 1 < len(self._levels)
        halves: list[RGB | None] = []
        for column, (data, half) in enumerate(self._encoded(tiles, coarser)):
            where = level.row * level.columns + column
            level.offsets[where], level.lengths[where] = self._append(data) if data else self._background()
            halves.append(half)
        level.row += 1
        if not coarser:
            return
        if level.row % 2 and level.row < level.rows:
            level.above = halves
            return
        above, below = (halves, []) if level.row % 2 else (level.above, halves)
        level.above = []
        columns = range(self._levels[index + 1].columns)
        self._write_row(index + 1, (self._joined(index + 1, column, above, below) for column in columns))

    def _encoded(self, tiles: Iterable[RGB | None], coarser: bool) -> Iterator[Encoded]:
        """Encoded tiles in order, made by the pool a few tiles ahead."""

        def work(tile: RGB) -> Encoded:
            return self.encoding.encode(self._filled(tile)), downsample(tile) if coarser else None

        ahead: deque[Future[Encoded] | None] = deque()
        for tile in tiles:
            ahead.append(None if tile is None else self._pool.submit(work, tile))
            if len(ahead) > _AHEAD * self._workers:
                yield _result(ahead.popleft())
        while ahead:
            yield _result(ahead.popleft())

    def _filled(self, tile: RGB) -> RGB:
        """A whole tile, as TIFF wants it; pixels are repeated past the slide's edge, which costs JPEG nothing."""
        height, width = tile.shape[:2]
        full = self.encoding.tile
        if (height, width) == (full, full):
            return np.ascontiguousarray(tile)
        return np.pad(tile, ((0, full - height), (0, full - width), (0, 0)), mode="edge")

    def _joined(self, index: int, column: int, above: Tiles, below: Tiles) -> RGB | None:
        """A tile of a coarser level from the up to four halved tiles of the finer one."""
        quarters = [
            (row * self.encoding.tile // 2, side * self.encoding.tile // 2, half)
            for row, halves in enumerate((above, below))
            for side, half in enumerate(halves[2 * column : 2 * column + 2])
        ]
        if all(half is None for _, _, half in quarters):
            return None
        height, width = self._extent(index, column)
        tile = self._plain[:height, :width].copy()
        for y, x, half in quarters:
            if half is not None:
                tile[y : y + half.shape[0], x : x + half.shape[1]] = half
        return tile

    def _append(self, data: bytes) -> tuple[int, int]:
        offset = self._end
        self._file.write(data)
        self._digest.update(data)
        self._end += len(data)
        return offset, len(data)

    def _background(self) -> tuple[int, int]:
        if self._plain_at is None:
            self._plain_at = self._append(self.encoding.encode(self._plain))
        return self._plain_at

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        if kind is not None:
            self._discard()
            return
        try:
            self._finish()
        except BaseException:
            self._discard()
            raise

    def _finish(self) -> None:
        first = self._levels[0]
        if first.row < first.rows:
            raise ValueError(f"{self.path}: {first.row} rows of tiles were written; the slide has {first.rows}")
        with _named(self.path):
            shared = []
            if self.metadata.icc:
                shared.append(bigtiff.append_shared(self._file, Tag.ICC_PROFILE, self.metadata.icc))
            levels = range(len(self._levels))
            bigtiff.write_pyramid(self._file, [[*self._entries(index), *shared] for index in levels])
            self._file.close()

    def _discard(self) -> None:
        with suppress(OSError):  # a full disk refuses what is still buffered, too
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _entries(self, index: int) -> list[Entry]:
        level, tile = self._levels[index], self.encoding.tile
        per_cm = 1e4 / (self.metadata.mpp * 2**index)
        creator = f"restain {packages.version('restain')}"
        entries = [
            bigtiff.longs(Tag.NEW_SUBFILE_TYPE, min(index, 1)),  # 1: a reduced version of another image
            bigtiff.longs(Tag.IMAGE_WIDTH, level.width),
            bigtiff.longs(Tag.IMAGE_LENGTH, level.height),
            bigtiff.shorts(Tag.BITS_PER_SAMPLE, 8, 8, 8),
            bigtiff.shorts(Tag.SAMPLES_PER_PIXEL, 3),
            bigtiff.shorts(Tag.PLANAR_CONFIGURATION, 1),
            bigtiff.rational(Tag.X_RESOLUTION, per_cm),
            bigtiff.rational(Tag.Y_RESOLUTION, per_cm),
            bigtiff.shorts(Tag.RESOLUTION_UNIT, 3),  # the centimetre
            bigtiff.text(Tag.SOFTWARE, creator),
            bigtiff.longs(Tag.TILE_WIDTH, tile),
            bigtiff.longs(Tag.TILE_LENGTH, tile),
            bigtiff.offsets(Tag.TILE_OFFSETS, level.offsets.tolist()),
            bigtiff.offsets(Tag.TILE_BYTE_COUNTS, level.lengths.tolist()),
            *self.encoding.entries(),
        ]
        if index == 0:
            xml = write_omexml(self.metadata, self.size, creator, self._digest.digest())
            entries.append(bigtiff.text(Tag.IMAGE_DESCRIPTION, xml))
        return entries
