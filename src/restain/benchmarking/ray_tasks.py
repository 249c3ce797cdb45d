"""Jobs of a comparison spread over a Ray cluster: one process, and one GPU where there are any, for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from restain.cluster import open_cluster
from restain.errors import RestainError, Stopped, in_short

Key = TypeVar("Key")
Result = TypeVar("Result")
RETRIES = 3  # of a job whose process was lost; it continues from its last checkpoint


def on_ray(
    function: Callable[..., Result],
    calls: Mapping[Key, tuple[Any, ...]],
    *,
    device: str,
    workers: int | None,
) -> Iterator[tuple[Key, Result | RestainError]]:
    """Call a function with each tuple of arguments, on the running Ray cluster or a local one.

    Paths must mean the same on every machine. A call whose process is lost is repeated up to three times.

    Args:
        function: of a module; what it returns must be picklable.
        calls: arguments by the name of the call.
        device: auto, cpu or cuda.
        workers: calls at a time; None for one per GPU, or one for every 4 cores without GPUs.

    Yields:
        (name, result, or why there is none) in the order in which the calls end.

    Raises:
        Stopped: a call was told to stop.
        RestainError: Ray is not installed, or the cluster has no GPU where one is asked for.
    """
    cluster = open_cluster(device, len(calls), workers)
    ray = cluster.ray
    task = ray.remote(**cluster.needs, max_retries=RETRIES, max_calls=1)(function)  # each in a process of its own
    waiting = list(calls.items())[::-1]
    busy: dict[Any, Key] = {}
    while waiting or busy:
        while waiting and len(busy) < cluster.workers:
            key, arguments = waiting.pop()
            busy[task.remote(*arguments)] = key
        (done,), _ = ray.wait(list(busy), num_returns=1)
        key = busy.pop(done)
        try:
            yield key, ray.get(done)
        except ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, Stopped):
                raise cause from None
            if isinstance(cause, RestainError):
                yield key, cause
            else:  # a fault of one method must not end the comparison of the others
                yield key, RestainError(f"{type(cause).__name__}: {in_short(cause)}")
        except ray.exceptions.RayError as error:
            yield key, RestainError(f"its process was lost {RETRIES + 1} times ({type(error).__name__})")
