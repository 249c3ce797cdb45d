"""Fixtures of several tests: a small paired data set, overrides that make any recipe fast, and a browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small import FAST, write_pairs

LAUNCH = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync"]  # fmt: skip


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium, where there is one."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=LAUNCH)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that fails the test where a script fails or the security policy is broken."""
    opened = browser.new_page(viewport={"width": 1280, "height": 720})
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield opened
    opened.close()
    assert [text for text in complaints if "422" not in text] == []
