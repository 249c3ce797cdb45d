"""``restain doctor``: what is installed, what the machine offers, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from restain.errors import in_short
from restain.weights import list_weights

EXTRAS = {  # what the packages of each are for
    "dicom": "DICOM slides",
    "export": "restain export",
    "view": "restain view",
    "hub": "restain push and pull",
    "ray": "restain slide --engine ray",
    "wandb": "tracking with Weights & Biases",
    "mlflow": "tracking with MLflow",
}


@dataclass(frozen=True)
class Finding:
    """One line of the diagnosis."""

    what: str
    found: str
    ok: bool
    advice: str = ""


def doctor() -> list[Finding]:
    """Look at the installation and the machine.

    Returns:
        findings in reading order; those that are not ``ok`` have an advice.
    """
    return [
        Finding("python", platform.python_version(), True),
        Finding("restain", metadata.version("restain"), True),
        *_packages(),
        *_devices(),
        *_formats(),
        *_weights(),
        _disk(Path.cwd()),
    ]


def _packages() -> Iterator[Finding]:
    """Each package that restain needs, then those of the extras, against the versions that it accepts."""
    needed = [Requirement(text) for text in metadata.requires("restain") or ()]
    for one in needed:
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            yield _package(one)
    for extra, purpose in EXTRAS.items():
        for one in needed:
            if one.marker is not None and one.marker.evaluate({"extra": extra}):
                yield _package(one, extra, purpose)
    yield _package(Requirement("pyvips[binary]"), "", "a third reader for restain check")


def _package(wanted: Requirement, extra: str | None = None, purpose: str = "") -> Finding:
    """A package that is installed in a version that fits; one of an extra may be missing."""
    command = f"pip install 'restain[{extra}]'" if extra else f"pip install '{str(wanted).partition(';')[0]}'"
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        if extra is None:
            return Finding(wanted.name, "missing", False, command)
        return Finding(wanted.name, f"not installed; only for {purpose}", True, command)
    if not wanted.specifier.contains(version, prereleases=True):
        return Finding(wanted.name, f"{version}; expected {wanted.specifier}", False, command)
    return Finding(wanted.name, f"{version} ({purpose})" if purpose else version, True)


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # not installed, or without the libraries that it links to
        yield Finding("devices", f"unknown, torch cannot be imported: {in_short(error)}", False, "reinstall torch")
        return
    yield Finding("CPU", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads used by torch", True)
    if torch.backends.mps.is_available():
        yield Finding("MPS", "an Apple GPU; use it with --device mps", True)
    elif not torch.cuda.is_available():
        advice = "training on a CPU is for small trials; a CUDA build of torch is at https://pytorch.org"
        yield Finding("CUDA", "no device seen by torch", False, advice)
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        yield Finding(f"CUDA {index}", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}", True)


def _formats() -> Iterator[Finding]:
    try:
        from PIL import features
    except ImportError as error:
        yield Finding("formats", f"unknown, pillow cannot be imported: {in_short(error)}", False, "reinstall pillow")
        return
    for name, codec in (("JPEG", "jpg"), ("PNG", "zlib"), ("WebP", "webp")):
        ok = bool(features.check(codec))
        yield Finding(name, "readable" if ok else "missing", ok, "" if ok else "pip install --upgrade pillow")


def _weights() -> Iterator[Finding]:
    """The networks of FID, KID, LPIPS and PHV; without one, its metrics are not computed."""
    for held in list_weights():
        advice = "" if held.state == "present" else held.file.command
        found = f"{held.state} (weights of {held.file.purpose})"
        yield Finding(held.file.name, found, held.state != "damaged", advice)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    return Finding("disk", f"{free:.0f} GiB free in {folder}", free > 5, "" if free > 5 else "a run needs a few GiB")
