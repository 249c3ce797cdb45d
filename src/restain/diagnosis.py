"""``restain doctor``: what is installed, what the machine offers, what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from restain.errors import in_short

REQUIRED = ("torch", "lightning-fabric", "numpy", "scipy", "scikit-image", "pillow", "tifffile", "imagecodecs")
REQUIRED_TOO = ("safetensors", "pydantic", "PyYAML", "typer", "rich", "matplotlib", "Jinja2", "tensorboard")
REQUIRED_FOR_SLIDES = ("openslide-python", "openslide-bin", "torchmetrics", "filelock")
EXTRAS = {  # package: what it is for, how to get it
    "wsidicom": ("DICOM slides", "pip install 'restain[dicom]'"),
    "onnxruntime": ("restain export", "pip install 'restain[export]'"),
    "starlette": ("restain view", "pip install 'restain[view]'"),
    "ray": ("restain slide --engine ray", "pip install 'restain[ray]'"),
    "wandb": ("tracking with Weights & Biases", "pip install 'restain[wandb]'"),
    "mlflow-skinny": ("tracking with MLflow", "pip install 'restain[mlflow]'"),
    "pyvips": ("a third reader for restain check", "pip install 'pyvips[binary]'"),
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
        findings in reading order; those that are not ``ok`` say what to do.
    """
    return [
        Finding("python", platform.python_version(), True),
        Finding("restain", metadata.version("restain"), True),
        *(_package(name) for name in (*REQUIRED, *REQUIRED_TOO, *REQUIRED_FOR_SLIDES)),
        *(_extra(name) for name in EXTRAS),
        *_devices(),
        *_formats(),
        _disk(Path.cwd()),
    ]


def _package(name: str) -> Finding:
    try:
        return Finding(name, metadata.version(name), True)
    except metadata.PackageNotFoundError:
        return Finding(name, "missing", False, f"pip install {name}")


def _extra(name: str) -> Finding:
    purpose, advice = EXTRAS[name]
    try:
        return Finding(name, f"{metadata.version(name)} ({purpose})", True)
    except metadata.PackageNotFoundError:
        return Finding(name, f"not installed; only for {purpose}", True, advice)


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:  # not installed, or without the libraries that it links to
        yield Finding("devices", f"unknown, torch cannot be imported: {in_short(error)}", False, "reinstall torch")
        return
    yield Finding("CPU", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads used by torch", True)
    if not torch.cuda.is_available():
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


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    return Finding("disk", f"{free:.0f} GiB free in {folder}", free > 5, "" if free > 5 else "a run needs a few GiB")
