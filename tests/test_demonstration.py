"""The demonstration end to end at a small size, and again on what it left."""

import sys
from pathlib import Path

import pytest

from restain.console.doctor import print_findings
from restain.demonstration import DemoSize, demo
from restain.diagnosis import Finding, doctor
from restain.errors import RestainError


def test_the_demonstration_leaves_a_page_and_reuses_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scale = DemoSize(pairs=6, size=112, epochs=1, decay_epochs=0, slide=128)
    page = demo(tmp_path / "demo", scale=scale)
    root = tmp_path / "demo"
    assert page == root / "report.html" and "Virtual ER stain" in page.read_text()
    for part in (
        "tissue/phantom.json",
        "run/stainer/model.safetensors",
        "evaluation/summary.json",
        "virtual_slide/he.ome.tif",
    ):
        assert (root / part).is_file()
    virtual = {path.name for path in (root / "virtual").iterdir()} - {"staining.json"}
    assert virtual == {path.name for path in (root / "tissue" / "valA").iterdir()} and virtual

    def must_not_train(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr("restain.demonstration.train", must_not_train)
    assert demo(root, scale=scale) == page
    with pytest.raises(RestainError, match="was drawn with marker er, now it is her2"):
        demo(root, "her2", scale=scale)
    with pytest.raises(RestainError, match="was drawn with seed 0, now it is 1"):
        demo(root, seed=1, scale=scale)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RestainError, match="is not empty and holds no demonstration"):
        demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_doctor_names_what_is_missing_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from importlib import metadata

    usual = metadata.version

    def version(name: str) -> str:
        if name == "tensorboard":
            raise metadata.PackageNotFoundError(name)
        return "1.1" if name == "safetensors" else "0.1" if name == "scipy" else usual(name)

    monkeypatch.setattr("restain.diagnosis.metadata.version", version)
    monkeypatch.setenv("RESTAIN_WEIGHTS", str(tmp_path))
    findings = {finding.what: finding for finding in doctor()}
    assert findings["tensorboard"] == Finding("tensorboard", "missing", False, "pip install 'tensorboard>=2.16'")
    assert findings["scipy"] == Finding("scipy", "0.1; expected >=1.12", False, "pip install 'scipy>=1.12'")
    assert findings["torch"].ok and findings["torch"].found == usual("torch")
    assert findings["safetensors"] == Finding("safetensors", "1.1", True)
    assert findings["inception-fid"].found.startswith("missing (weights of ")
    assert findings["inception-fid"].advice == "restain weights fetch inception-fid"
    assert "CPU" in findings and "disk" in findings
    assert all(finding.ok or finding.advice for finding in findings.values())
    print_findings(list(findings.values()))
    assert "pip install 'tensorboard>=2.16'" in capsys.readouterr().out


def test_the_doctor_lives_without_the_packages_it_looks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torch", "PIL"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not there
    found = {finding.what: finding for finding in doctor()}
    assert "torch cannot be imported" in found["devices"].found and not found["devices"].ok
    assert "pillow cannot be imported" in found["formats"].found and not found["formats"].ok
