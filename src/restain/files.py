"""Files in and out: read with a limit and only where they are files, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from restain.errors import RestainError, in_short, os_reason

MEGABYTE = 1 << 20
_TEXT_LIMIT = 64 * MEGABYTE  # bytes of a table or of JSON; far above what restain writes
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def require_file(path: Path) -> int:
    """The size of a file in bytes, after a look at what it is: a pipe or a device would be read without end.

    Raises:
        RestainError: nothing is there, it cannot be reached, or it is no file.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        where = f", to which the link {path} leads" if path.is_symlink() else ""
        raise RestainError(f"{path.readlink() if where else path}: no such file{where}") from None
    except OSError as error:
        raise RestainError(f"{path}: cannot be opened ({os_reason(error)})") from None
    except ValueError:
        raise RestainError(f"{str(path)!r}: no such file; a path cannot hold a NUL character") from None
    for is_kind, kind in _KINDS:
        if is_kind(found.st_mode):
            raise RestainError(f"{path}: is {kind}; expected a file")
    return found.st_size


def require_folder_or_none(path: Path) -> None:
    """RestainError where no folder of that path can be made, since it is a file, or one of those above it is."""
    nearest = next(one for one in (path, *path.absolute().parents) if one.exists())
    if not nearest.is_dir():
        raise RestainError(f"{nearest}: is a file; expected a folder for the results")


def read_bytes(path: Path, limit: int = _TEXT_LIMIT) -> bytes:
    """The bytes of a file of at most ``limit`` bytes.

    Raises:
        RestainError: nothing is there, it is no file, it is larger, or it cannot be read.
    """
    size = require_file(path)
    if size > limit:
        raise RestainError(f"{path}: has {size / MEGABYTE:.1f} MB; expected at most {limit / MEGABYTE:g} MB")
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise RestainError(f"{path}: cannot be read ({os_reason(error)})") from None


def read_text(path: Path, limit: int = _TEXT_LIMIT) -> str:
    """The UTF-8 text of a file, without a byte order mark.

    Raises:
        RestainError: as ``read_bytes``, or the bytes are not UTF-8.
    """
    try:
        return read_bytes(path, limit).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        place = f"byte {error.object[error.start]:#04x} at position {error.start}"
        raise RestainError(f"{path}: is not UTF-8 text ({place}); save it as UTF-8") from None


def read_json(path: Path, limit: int = _TEXT_LIMIT) -> dict[str, Any]:
    """The object in a JSON file of at most ``limit`` bytes.

    Raises:
        RestainError: as ``read_text``, or the text is not JSON, is nested too deeply, or holds no object.
    """
    text = read_text(path, limit)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:  # the former too for a number of thousands of digits
        raise RestainError(f"{path}: is not valid JSON ({in_short(error)})") from None
    if not isinstance(value, dict):
        raise RestainError(f"{path}: holds a JSON {type(value).__name__}; expected an object")
    return value


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success flush it to disk and rename it over ``path``.

    The temporary name keeps the suffix, since many writers choose their format by it. On any error the
    temporary file is removed and ``path`` is left as it was.

    Raises:
        RestainError: the disk is full, a folder cannot be written, or the path is a folder; names ``path``.
    """
    with named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of a long name a part will do, so that the temporary one is not too long for the file system.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:32]}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            rename_whole(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses while ``path`` is written into a sentence that names ``path``.

    An error that names a file elsewhere, such as one that is copied, is left as it is.
    """
    try:
        yield
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else path
        if path.parent not in place.parents and place not in path.parents:
            raise
        where = f"{place}: " if place in path.parents else ""
        raise RestainError(f"{path}: cannot be written ({where}{os_reason(error)})") from error


@contextmanager
def folder_aside(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that takes its name on success and vanishes on failure.

    Raises:
        RestainError: ``out`` is a file or holds something already, or cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RestainError(f"{out}: is not empty; expected a new or an empty folder")
    with named(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name[:32]}-"))
        try:
            yield folder
            folder.chmod(0o755)
            folder.replace(out)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


def rename_whole(finished: Path, path: Path) -> None:
    """Flush a finished file to disk and rename it over ``path``, on the same file system."""
    with finished.open("rb+") as file:
        os.fsync(file.fileno())
    finished.replace(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text whole or not at all.

    A byte of a file name that is no character stands as an escape; JSON reads it back as it was.
    """
    with write_aside(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON whole or not at all; NaN and infinity are refused, since JSON has neither."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes; RestainError where it is no file."""
    require_file(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
