"""A Ray cluster, with a stand-in for Ray."""

import signal
import sys
from types import SimpleNamespace

import pytest

from restain.cluster import Cluster, open_cluster


def test_starting_ray_leaves_sigterm_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a scheduler's SIGTERM still stops the slides of a cluster as Ctrl-C does."""
    usual = signal.getsignal(signal.SIGTERM)
    started = []

    def start(**_: object) -> None:
        started.append(signal.signal(signal.SIGTERM, lambda *_: None))  # as Ray does

    ray = SimpleNamespace(is_initialized=lambda: False, init=start, cluster_resources=lambda: {"CPU": 8.0})
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert open_cluster("cpu", jobs=3, workers=None) == Cluster(ray=ray, workers=2, needs={"num_cpus": 4})
    assert started == [usual] and signal.getsignal(signal.SIGTERM) is usual

    def fail(**_: object) -> None:
        start()
        raise ConnectionError

    ray.init = fail
    with pytest.raises(ConnectionError):
        open_cluster("cpu", jobs=3, workers=None)
    assert signal.getsignal(signal.SIGTERM) is usual
