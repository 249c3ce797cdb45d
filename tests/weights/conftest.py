from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import pytest

from restain.weights import WEIGHTS, WeightFile


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESTAIN_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("RESTAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "weights"


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put files into the registry, those of their names out."""

    def put(*files: WeightFile) -> None:
        known = MappingProxyType({**WEIGHTS, **{file.name: file for file in files}})
        for module in ("registry", "store"):
            monkeypatch.setattr(f"restain.weights.{module}.WEIGHTS", known)

    return put
