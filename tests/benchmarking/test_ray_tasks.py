"""A comparison on a local Ray cluster of two workers."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarking.conftest import compare
from local_cluster import local_cluster

from restain.benchmarking.ray_tasks import on_ray
from restain.errors import RestainError, Stopped
from restain.files import read_json, write_json


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with local_cluster(monkeypatch):
        yield


def test_trainings_are_spread_and_their_failures_come_back(cluster: None, fields: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "there.json", {"seed": 3})
    calls = {name: (tmp_path / f"{name}.json",) for name in ("there", "absent")}
    found = dict(on_ray(read_json, calls, device="cpu", workers=2))
    assert found["there"] == {"seed": 3}
    assert isinstance(found["absent"], RestainError) and "absent.json: no such file" in str(found["absent"])

    def stop() -> None:
        raise Stopped("stopped by SIGTERM")

    with pytest.raises(Stopped):
        list(on_ray(stop, {"stopped": ()}, device="cpu", workers=1))

    run = compare(fields, tmp_path / "out", "pix2pix-small", "pix2pix-resnet-small", engine="ray", workers=2)
    assert run.page is not None and run.page.is_file()
    with (tmp_path / "out" / "table.csv").open(encoding="utf-8") as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert all(rows[name]["ssim"] and not rows[name]["note"] for name in ("pix2pix-small", "pix2pix-resnet-small"))
