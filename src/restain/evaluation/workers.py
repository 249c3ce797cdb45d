"""Images in a pool of threads, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from restain.progress import ProgressBar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> Iterator[Result]:
    """``work`` on every item, results in the order of the items.

    Threads, not processes: decoding and the filters release the interpreter lock, and a caller's script needs no
    __main__ guard. Each image is measured alone, so the number of workers cannot change a score.
    """
    with ProgressBar(title, total=len(items), unit="images") as bar, ThreadPoolExecutor(count_workers()) as pool:
        for result in pool.map(work, items):
            yield result
            bar.advance()


def count_workers() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
