"""Weight files with seeded values under the official key names, registered in place of the real ones."""

import hashlib
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from seeded import NETWORKS, seeded_state, shapes_of

from restain.weights import WEIGHTS, WeightFile


@pytest.fixture(scope="session")
def seeded_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WeightFile]:
    folder = tmp_path_factory.mktemp("seeded")
    files = {}
    for name in NETWORKS:
        path = folder / WEIGHTS[name].filename
        torch.save(seeded_state(shapes_of(name)), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files[name] = WeightFile(name, path.name, "a test", folder.as_uri(), path.stat().st_size, digest, "")
    return files


@pytest.fixture
def seeded_weights(
    seeded_files: dict[str, WeightFile], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, WeightFile]:
    """All networks at hand, with values made of their key names; features go to a cache of this test."""
    known = MappingProxyType({**WEIGHTS, **seeded_files})
    for module in ("registry", "store"):
        monkeypatch.setattr(f"restain.weights.{module}.WEIGHTS", known)
    folder = Path(next(iter(seeded_files.values())).url.removeprefix("file://"))
    monkeypatch.setenv("RESTAIN_WEIGHTS", str(folder))
    monkeypatch.setenv("RESTAIN_CACHE", str(tmp_path / "cache"))
    return seeded_files
