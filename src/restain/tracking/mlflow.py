"""MLflow: the store of MLFLOW_TRACKING_URI, or else files in ``logs/mlflow``.

The experiment is ``restain`` unless MLFLOW_EXPERIMENT_NAME says otherwise. A file store is opened in a browser with
``MLFLOW_ALLOW_FILE_STORE=true mlflow ui --backend-store-uri RUN/logs/mlflow``; it names its place on the disk, so a run
folder that is moved keeps its numbers there but not its pictures, which lie in the run folder anyway.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from restain.errors import RestainError, in_short
from restain.tracking.remote import keep_run, run_to_resume
from restain.tracking.tracker import RunInfo, TrackerLost

_MOST_PARAMS = 100  # of one request


def open_tracker(info: RunInfo) -> MlflowTracker:
    """Create a run with the recipe as its parameters, or resume the one whose id is in ``logs/mlflow.json``.

    Raises:
        RestainError: the store does not answer, or does not hold the run to resume.
    """
    store = os.environ.get("MLFLOW_TRACKING_URI")
    if not store:
        store = (info.logs / "mlflow").resolve().as_uri()
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # else MLflow 3 insists on a database
    path = info.logs / "mlflow.json"
    known = run_to_resume(info, path)
    try:
        client = MlflowClient(tracking_uri=store)
        if known is not None:
            return MlflowTracker(client, known, _resume(client, known))
        run = _create(client, info)
    except MlflowException as error:
        what = "did not open a run" if known is None else f"did not resume run {known} of {path}"
        raise RestainError(
            f"the MLflow store {store} {what} ({in_short(error).rstrip('.')}); MLFLOW_TRACKING_URI names the store"
        ) from None
    keep_run(path, run)
    return MlflowTracker(client, run, {})


def _create(client: MlflowClient, info: RunInfo) -> str:
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "restain")
    experiment = client.get_experiment_by_name(name)
    number = client.create_experiment(name) if experiment is None else experiment.experiment_id
    run: str = client.create_run(number, run_name=info.name).info.run_id
    params = [Param(key, str(value)) for key, value in _flat(info.config)]
    for start in range(0, len(params), _MOST_PARAMS):
        client.log_batch(run, params=params[start : start + _MOST_PARAMS])
    return run


def _resume(client: MlflowClient, run: str) -> dict[str, int]:
    """The last step that the run holds of each metric."""
    metrics = client.get_run(run).data.metrics
    client.update_run(run, status="RUNNING")
    return {key: max(metric.step for metric in client.get_metric_history(run, key)) for key in metrics}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class MlflowTracker:
    """A run of MLflow."""

    def __init__(self, client: MlflowClient, run: str, held: Mapping[str, int]) -> None:
        self._client, self._run, self._held = client, run, held
        self._around = sys.exception()  # of a caller who trains while handling it

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """One metric a key."""
        # A resumed run holds what was logged between its last checkpoint and the stop; MLflow would keep both copies.
        new = {key: value for key, value in values.items() if step > self._held.get(key, -1)}
        now = int(time.time() * 1000)
        with _losses_named():
            self._client.log_batch(self._run, [Metric(key, float(value), now, step) for key, value in new.items()])

    def picture(self, step: int, name: str, path: Path) -> None:
        """An artifact, ``name/step-00001000.png``."""
        with tempfile.TemporaryDirectory() as folder, _losses_named():
            named = shutil.copy(path, Path(folder) / f"step-{step:08d}.png")
            self._client.log_artifact(self._run, str(named), name)

    def close(self) -> None:
        """End the run."""
        with _losses_named():
            self._client.set_terminated(self._run, "FINISHED" if sys.exception() is self._around else "FAILED")


@contextlib.contextmanager
def _losses_named() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the clients of artifact stores have exceptions of their own
        raise TrackerLost(in_short(error)) from error
