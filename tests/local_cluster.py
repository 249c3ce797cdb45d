"""A Ray cluster of two workers on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from restain.cluster import signals_kept

ray = pytest.importorskip("ray", reason="Ray is not installed (restain[ray])")


@contextmanager
def local_cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two workers, until the block ends."""
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    with signals_kept():
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
