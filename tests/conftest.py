"""Fixtures of several tests: a small paired data set, and overrides that make any recipe fast."""

from pathlib import Path

import pytest
from small import FAST, write_pairs


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six training pairs and two for validation, 48 pixels."""
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def fast() -> tuple[str, ...]:
    """Overrides that make any recipe small: three epochs, a log line every 2 steps, a checkpoint every 4."""
    return FAST


@pytest.fixture(autouse=True)
def _own_feature_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """An evaluation leaves nothing in the user's cache, and finds nothing there."""
    monkeypatch.setenv("RESTAIN_CACHE", str(tmp_path_factory.mktemp("cache")))
