"""Slides spread over processes of this machine: one per GPU, or several on a CPU; a lost one costs time only."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType

import torch

from restain.progress import ProgressBar, counted
from restain.slides.options import SlideOptions
from restain.slides.record import SlideRecord
from restain.slides.run.job import Job
from restain.slides.run.retries import Attempts
from restain.slides.run.single import stain_slide
from restain.stainer_files import load_stainer

_PATIENCE = 30  # seconds for a process to let go of its slide


@dataclass(frozen=True)
class _Place:
    """Where a process works."""

    device: str  # cpu or cuda
    number: int  # of the GPU
    threads: int  # on the processor


@dataclass(frozen=True)
class _Worker:
    """A process and this end of the pipe to it."""

    process: BaseProcess
    pipe: Connection
    place: _Place

    def stop(self) -> None:
        """End it; a slide in work keeps its finished tiles, and loses its lock."""
        self.pipe.close()
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def stain_in_processes(
    jobs: Sequence[Job], stainer: Path, options: SlideOptions, device: str, devices: int
) -> Generator[SlideRecord]:
    """Stain slides in several processes, each with a stainer of its own.

    A process that is lost is started again, and the slide that it was staining continues from its journal; after four
    losses the slide has failed.

    Args:
        jobs: slides and their outputs.
        stainer: folder, loaded once by every process.
        options: as for one slide.
        device: cpu or cuda.
        devices: processes; on CUDA each has a GPU of its own, on a CPU its share of the cores.

    Yields:
        records in the order in which slides are finished.
    """
    count = min(devices, len(jobs))
    threads = max(1, (os.cpu_count() or 1) // count)
    waiting, attempts = deque(jobs), Attempts()
    busy: dict[Connection, tuple[_Worker, Job]] = {}

    def begin(worker: _Worker, job: Job) -> None:
        busy[worker.pipe] = worker, job
        with suppress(OSError):  # it is lost already, which is found out below
            worker.pipe.send(job)

    try:
        for number in range(count):
            begin(_start(stainer, options, _Place(device, number, threads)), waiting.popleft())
        with ProgressBar(counted(count, "process", "processes"), len(jobs), "slides") as bar:
            while busy:
                for pipe in wait(list(busy)):
                    assert isinstance(pipe, Connection)
                    worker, job = busy.pop(pipe)
                    try:
                        record = attempts.finish(job, pipe.recv())
                    except (EOFError, OSError):
                        worker.stop()
                        failure = attempts.lose(job, _ending(worker.process))
                        worker = _start(stainer, options, worker.place)
                        if failure is None:
                            begin(worker, job)
                            continue
                        record = failure
                    if waiting:
                        begin(worker, waiting.popleft())
                    else:
                        worker.stop()
                    bar.advance()
                    yield record
    finally:
        for worker, _ in busy.values():
            worker.stop()


def _start(stainer: Path, options: SlideOptions, place: _Place) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a CUDA context does not survive a fork
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, stainer, options, place), daemon=True)
    process.start()
    theirs.close()  # so that a pipe ends with its process
    return _Worker(process, ours, place)


def _work(pipe: Connection, stainer: Path, options: SlideOptions, place: _Place) -> None:
    """What a process does: it stains what the pipe brings, until that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which ends this one
    signal.signal(signal.SIGTERM, _end)
    if place.device == "cuda":
        torch.cuda.set_device(place.number)
    else:
        torch.set_num_threads(place.threads)
    ready = load_stainer(stainer, place.device)
    with suppress(EOFError, BrokenPipeError):
        while True:
            pipe.send(stain_slide(pipe.recv(), ready, options, quiet=True))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # or else _end would raise in the midst of what Python does at exit


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _ending(process: BaseProcess) -> str:
    code = process.exitcode or 0
    return f"signal {-code}" if code < 0 else f"exit status {code}"
