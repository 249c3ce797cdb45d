"""A Ray cluster, and how its machines are shared out to workers. Ray is imported when a cluster is opened."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from restain.errors import RestainError

_CORES = 4  # for each worker, where there is no GPU


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """An open cluster."""

    ray: Any  # the module
    workers: int  # that run at a time
    needs: dict[str, int]  # of one worker, as Ray's options


@contextmanager
def signals_kept() -> Iterator[None]:
    """Keep what SIGTERM does: starting Ray sets a handler of its own, which processes that are forked later inherit."""
    usual = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if usual is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, usual)


def open_cluster(device: str, jobs: int, workers: int | None) -> Cluster:
    """Connect to the running cluster, found by RAY_ADDRESS or ``ray start``, or start a local one.

    Args:
        device: auto, cpu or cuda.
        jobs: how many there are; no more workers than that.
        workers: processes; None for one per GPU, or one for every 4 cores without GPUs.

    Raises:
        RestainError: Ray is not installed, or the cluster has no GPU where one is asked for.
    """
    try:
        import ray
    except ImportError:
        raise RestainError("engine ray: Ray is not installed; pip install 'restain[ray]'") from None
    if not ray.is_initialized():
        with signals_kept():
            ray.init(address=os.environ.get("RAY_ADDRESS"), log_to_driver=False)
    resources = ray.cluster_resources()  # type: ignore[no-untyped-call]
    gpus, cores = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    if device == "cuda" and not gpus:
        raise RestainError("device is cuda, but the Ray cluster has no GPU")
    on_gpu = bool(gpus) and device != "cpu"
    count = min(workers or (gpus if on_gpu else max(1, cores // _CORES)), jobs)
    needs = {"num_gpus": 1, "num_cpus": 1} if on_gpu else {"num_cpus": max(1, min(cores // count, _CORES))}
    return Cluster(ray=ray, workers=count, needs=needs)
