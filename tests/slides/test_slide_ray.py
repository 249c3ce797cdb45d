"""A local Ray cluster of two workers, one of which is killed in the middle of a slide."""

import os
import signal
import threading
from pathlib import Path

import pytest
from local_cluster import local_cluster
from small_slides import write_slide

import restain
from restain.images import RGB
from restain.slides.options import SlideOptions


def worker_processes() -> list[int]:
    """The processes of the cluster's workers that hold a stainer."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
            if command.startswith(b"ray::_Worker"):
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="finding the worker's process needs /proc")
def test_a_killed_worker_loses_nothing(
    stainer_folder: Path, he_image: RGB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write_slide(tmp_path / "slides" / f"{name}.tif", he_image)
    (tmp_path / "slides" / "broken.tif").write_bytes(b"II*\0nothing")
    options = SlideOptions(tile=64)
    restain.slide(stainer_folder, tmp_path / "slides" / "a.tif", tmp_path / "alone", options=options)
    killed: list[int] = []
    over = threading.Event()

    def kill_one() -> None:
        """The cluster and its workers take their time to start on a busy machine."""
        while not over.wait(0.01):
            under_way = [
                path for path in (tmp_path / "out").glob(".*.unfinished") if len(list(path.glob("tiles/0*"))) > 3
            ]
            if under_way and (workers := worker_processes()):
                os.kill(workers[0], signal.SIGKILL)
                killed.append(workers[0])
                return

    killer = threading.Thread(target=kill_one)
    with local_cluster(monkeypatch):
        killer.start()
        try:
            run = restain.slide(
                stainer_folder,
                tmp_path / "slides",
                tmp_path / "out",
                options=options,
                device="cpu",
                engine="ray",
                workers=2,
            )
        finally:
            over.set()
            killer.join()
    assert killed
    statuses = {Path(record.slide).name: record.status for record in run.records}
    assert statuses == {"a.tif": "stained", "b.tif": "stained", "c.tif": "stained", "broken.tif": "failed"}
    alone = (tmp_path / "alone" / "a.ome.tif").read_bytes()
    assert (tmp_path / "out" / "a.ome.tif").read_bytes() == alone
