"""Where the numbers of a training run go: CSV files always, TensorBoard, Weights & Biases and MLflow by name.

The training loop knows one small protocol, ``Tracker``. Each tracker is a module of its own that is imported when it
is opened, so a run needs no package of a tracker that it does not use.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from restain.errors import RestainError
from restain.tracking.tracker import RunInfo, Tracker, TrackerLost

__all__ = ["TRACKERS", "RunInfo", "Tracker", "check_trackers", "open_trackers"]

TRACKERS: tuple[str, ...] = ("csv", "tensorboard", "wandb", "mlflow")
_EXTRAS = ("wandb", "mlflow")  # the package, the extra of restain and the tracker share one name


def check_trackers(names: Sequence[str]) -> None:
    """Refuse names that cannot be opened, before anything that takes time; imports no tracker.

    Raises:
        RestainError: a name is unknown, or the package that it needs is not installed.
    """
    for name in names:
        if name not in TRACKERS:
            raise RestainError(f"unknown tracker {name!r}; expected one of {', '.join(TRACKERS)}")
        if name in _EXTRAS and not _installed(name):
            raise RestainError(f"tracker {name} needs a package that is not installed; pip install 'restain[{name}]'")


def _installed(package: str) -> bool:
    # wandb writes into folders of its own name, and any folder on the path passes for a package without an __init__.
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def open_trackers(names: Sequence[str], info: RunInfo) -> Tracker:
    """Open the named trackers, and CSV in any case, as one.

    A server that fails later does not stop the run: a warning says so, and the other trackers go on.

    Args:
        names: of ``TRACKERS``, in any order; a repeated one is opened once.
        info: the run, and the step at which logging continues.

    Raises:
        RestainError: see ``check_trackers``; a log of an earlier part of the run is damaged; no login; no server.
    """
    check_trackers(names)
    with contextlib.ExitStack() as opened:
        trackers: dict[str, Tracker] = {}
        for name in TRACKERS:
            if name == "csv" or name in names:
                trackers[name] = import_module(f"restain.tracking.{name}").open_tracker(info)
                opened.callback(trackers[name].close)
        opened.pop_all()  # all are open: from here on the caller closes them
    return _Several(trackers)


class _Several:
    """Passes everything on to several trackers."""

    def __init__(self, trackers: dict[str, Tracker]) -> None:
        self._trackers = trackers

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One row of numbers at a step, to each."""
        self._each(lambda tracker: tracker.log(step, values))

    def picture(self, step: int, name: str, path: Path) -> None:
        """A PNG that the run has written, to each."""
        self._each(lambda tracker: tracker.picture(step, name, path))

    def close(self) -> None:
        """Close each, even where another one fails."""
        with contextlib.ExitStack() as closing:
            for name, tracker in reversed(self._trackers.items()):
                closing.callback(self._unless_lost, name, tracker.close)

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            self._unless_lost(name, partial(action, tracker))

    def _unless_lost(self, name: str, action: Callable[[], None]) -> None:
        try:
            action()
        except TrackerLost as error:
            del self._trackers[name]
            warnings.warn(f"tracker {name} failed ({error}); the run continues without it", stacklevel=2)
