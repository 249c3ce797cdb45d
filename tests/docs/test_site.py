"""The site builds without a warning: no broken link, no page that the navigation leaves out."""

import logging
from pathlib import Path

import pytest
from pages import ROOT

config = pytest.importorskip("mkdocs.config", reason="the extra `docs` is not installed")


def test_the_site_builds_strictly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from mkdocs.commands.build import build

    with caplog.at_level(logging.WARNING):
        build(config.load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    assert not [record.getMessage() for record in caplog.records if record.name.startswith("mkdocs")]
    fields = (tmp_path / "site" / "reference" / "recipes" / "index.html").read_text(encoding="utf-8")
    assert "side of a training crop" in fields
