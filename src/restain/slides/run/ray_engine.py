"""Slides spread over a Ray cluster: one process per GPU; a lost one costs time only."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from restain.cluster import open_cluster
from restain.progress import ProgressBar, counted
from restain.slides.options import SlideOptions
from restain.slides.record import SlideRecord
from restain.slides.run.job import Job
from restain.slides.run.retries import Attempts
from restain.slides.run.single import stain_slide
from restain.stainer_files import load_stainer
from restain.tensors import find_device


class _Worker:
    """Holds the stainer; lives in a process of its own, on any machine of the cluster."""

    def __init__(self, stainer: Path, options: SlideOptions, device: str) -> None:
        self._stainer, self._options = load_stainer(stainer, find_device(device)), options

    def stain(self, job: Job) -> SlideRecord:
        return stain_slide(job, self._stainer, self._options, quiet=True)


def stain_on_ray(
    jobs: Sequence[Job], stainer: Path, options: SlideOptions, device: str, workers: int | None
) -> Generator[SlideRecord]:
    """Stain slides on a Ray cluster: the running one, found by RAY_ADDRESS or ``ray start``, or a local one.

    Paths must mean the same on every machine. A worker that is lost is replaced, and the slide that it was staining
    continues from its journal; after four losses the slide has failed.

    Args:
        jobs: slides and their outputs.
        stainer: folder, loaded once by every worker.
        options: as for one slide.
        device: auto, cpu or cuda.
        workers: processes; None for one per GPU, or one for every 4 cores without GPUs.

    Yields:
        records in the order in which slides are finished.

    Raises:
        RestainError: Ray is not installed, or the cluster has no GPU where one is asked for.
    """
    cluster = open_cluster(device, len(jobs), workers)
    ray = cluster.ray

    def start() -> Any:
        return ray.remote(_Worker).options(**cluster.needs).remote(stainer.absolute(), options, device)

    # Workers of a running cluster have folders of their own that relative paths would start from.
    waiting, attempts = deque(_absolute(job) for job in jobs), Attempts()
    busy: dict[Any, tuple[Any, Job]] = {}

    def begin(worker: Any, job: Job) -> None:
        busy[worker.stain.remote(job)] = worker, job

    for _ in range(cluster.workers):
        begin(start(), waiting.popleft())
    with ProgressBar(counted(cluster.workers, "worker"), len(jobs), "slides") as bar:
        while busy:
            (done,), _ = ray.wait(list(busy), num_returns=1)
            worker, job = busy.pop(done)
            try:
                record = attempts.finish(job, ray.get(done))
            except ray.exceptions.RayError as error:
                ray.kill(worker)  # it may only be out of reach, and would keep the slide's lock
                failure, worker = attempts.lose(job, type(error).__name__), start()
                if failure is None:
                    begin(worker, job)
                    continue
                record = failure
            if waiting:
                begin(worker, waiting.popleft())
            bar.advance()
            yield record


def _absolute(job: Job) -> Job:
    tissue, roi = (path.absolute() if path else None for path in (job.tissue, job.roi))
    return replace(job, source=job.source.absolute(), target=job.target.absolute(), tissue=tissue, roi=roi)
