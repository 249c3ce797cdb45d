"""Which software computed the figures."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

_LIBRARIES = ("numpy", "scipy", "scikit-image", "pillow", "torch", "torchmetrics")


def versions() -> dict[str, Any]:
    """The version of this package, of Python and of the libraries that a figure depends on."""
    return {
        "restain": _restain(),
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}},
    }


def _restain() -> str:
    try:
        return metadata.version("restain")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "not installed"
