"""Slides spread over processes of this machine, one of which is killed in the middle of a slide."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_slides import draw_tissue, write_slide

import restain
from restain.errors import RestainError
from restain.slides.options import SlideOptions
from restain.slides.record import read_summary
from restain.slides.run import processes

OPTIONS = SlideOptions(tile=64)


def under_way(out: Path) -> bool:
    return any(len(list(journal.glob("tiles/0*"))) > 2 for journal in out.glob(".*.unfinished"))


def wait_for(out: Path, over: Callable[[], bool]) -> bool:
    """Until a few tiles of a slide are finished; on a busy machine processes take their time to start."""
    while not under_way(out):
        if over():
            return False
        time.sleep(0.01)
    return True


def test_a_killed_process_loses_nothing(stainer_folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_slide(tmp_path / "slides" / f"{name}.tif", draw_tissue(300, 420))
    (tmp_path / "slides" / "broken.tif").write_bytes(b"II*\0nothing")
    restain.slide(stainer_folder, tmp_path / "slides" / "a.tif", tmp_path / "alone", options=OPTIONS, device="cpu")
    killed: list[int] = []
    over = threading.Event()

    def kill_all() -> None:
        if wait_for(tmp_path / "out", over.is_set) and (workers := multiprocessing.active_children()):
            for worker in workers:
                assert worker.pid
                os.kill(worker.pid, signal.SIGKILL)
                killed.append(worker.pid)

    killer = threading.Thread(target=kill_all)
    killer.start()
    try:
        run = restain.slide(
            stainer_folder, tmp_path / "slides", tmp_path / "out", options=OPTIONS, device="cpu", devices=2
        )
    finally:
        over.set()
        killer.join()
    assert killed
    statuses = {Path(record.slide).name: record.status for record in run.records}
    assert statuses == {"a.tif": "stained", "b.tif": "stained", "broken.tif": "failed"}
    assert (tmp_path / "out" / "a.ome.tif").read_bytes() == (tmp_path / "alone" / "a.ome.tif").read_bytes()
    assert len(read_summary(tmp_path / "out" / "summary.json").slides) == 3
    assert not list((tmp_path / "out").glob(".*")) and not multiprocessing.active_children()


def test_a_signal_ends_all_processes_and_leaves_no_lock(stainer_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("a", "b"):
        write_slide(tmp_path / "slides" / f"{name}.tif", draw_tissue(700, 1000))
    words = ["slide", str(tmp_path / "slides"), "--stainer", str(stainer_folder), "--out", str(out), "--tile", "64"]
    command = [sys.executable, "-m", "restain.cli", *words, "--devices", "2", "--device", "cpu"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert wait_for(out, lambda: process.poll() is not None)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "restain: stopped; the same command continues from here"
    assert len(list(out.glob("*.ome.tif"))) < 2 and not list(out.glob(".*.lock"))


def test_sigterm_ends_a_process_that_is_at_its_end_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python cleans up at exit, an exception from a signal handler would be printed as ignored."""
    monkeypatch.setattr(processes, "load_stainer", lambda *_: None)
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours, theirs = multiprocessing.Pipe()
    ours.close()
    place = processes._Place("cpu", 0, torch.get_num_threads())
    try:
        processes._work(theirs, Path("stainer"), OPTIONS, place)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"devices": 0}, "devices is 0; expected at least 1"),
        ({"devices": 10**6}, "devices is 1000000; expected at most"),
        ({"workers": 2}, "workers is 2 with engine local; expected devices instead"),
        ({"devices": 2, "engine": "ray"}, "devices is 2 with engine ray; expected workers instead"),
        ({"engine": "magic"}, "engine is 'magic'; expected local or ray"),
    ],
)
def test_numbers_of_processes_that_cannot_be(
    stainer_folder: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    slide = write_slide(tmp_path / "he.tif", draw_tissue(100, 100))
    with pytest.raises(RestainError, match=words):
        restain.slide(stainer_folder, slide, tmp_path / "out", device="cpu", **changes)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
