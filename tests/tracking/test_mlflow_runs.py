"""MLflow against a local file store, read back through its client."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from restain.errors import RestainError
from restain.tracking import open_trackers

pytest.importorskip("mlflow", reason="mlflow is not installed (pip install 'restain[mlflow]')")


@pytest.fixture(autouse=True)
def no_settings_of_the_person_at_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")


def client_of(store: Path) -> Any:
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store.as_uri())


def runs(store: Path, experiment: str = "restain") -> list[Any]:
    client = client_of(store)
    return list(client.search_runs([client.get_experiment_by_name(experiment).experiment_id]))


def history(store: Path, run: str, key: str) -> list[tuple[int, float]]:
    return sorted((metric.step, metric.value) for metric in client_of(store).get_metric_history(run, key))


def test_a_run_is_written_down_whole(run_at, picture: Path, tmp_path: Path) -> None:
    tracker = open_trackers(["mlflow"], run_at(0))
    tracker.log(2, {"G": 0.5})
    tracker.log(2, {"val/dab_r": 0.25})
    tracker.picture(2, "samples", picture)
    tracker.log(4, {"G": 0.125})
    store = run_at(0).logs / "mlflow"
    assert runs(store)[0].info.status == "RUNNING"
    tracker.close()
    (run,) = runs(store)
    assert (run.info.run_name, run.info.status) == ("asp", "FINISHED")
    assert run.info.run_id == json.loads((run_at(0).logs / "mlflow.json").read_text())["id"]
    assert run.data.params == {"name": "asp", "optim.lr": "0.0002", "optim.betas": "[0.5, 0.999]", "optim.ema": "None"}
    assert history(store, run.info.run_id, "G") == [(2, 0.5), (4, 0.125)]
    assert history(store, run.info.run_id, "val/dab_r") == [(2, 0.25)]
    kept = client_of(store).download_artifacts(run.info.run_id, "samples/step-00000002.png", str(tmp_path))
    assert Path(kept).read_bytes() == picture.read_bytes()


def test_reopening_continues_the_same_run_and_keeps_one_value_a_step(run_at) -> None:
    store = run_at(0).logs / "mlflow"
    for start in (0, 4):
        tracker = open_trackers(["mlflow"], run_at(start))
        assert runs(store)[0].info.status == "RUNNING"
        for step in range(start + 1, start + 7):
            tracker.log(step, {"G": 1 / step})
        tracker.close()
    (run,) = runs(store)
    assert run.info.status == "FINISHED"
    assert history(store, run.info.run_id, "G") == [(step, 1 / step) for step in range(1, 11)]
    open_trackers(["mlflow"], run_at(0)).close()  # begins anew, as the CSV does
    assert len(runs(store)) == 2


def test_a_recipe_of_more_fields_than_one_request_takes(run_at) -> None:
    from dataclasses import replace

    fields = {f"field{index}": index for index in range(230)}
    open_trackers(["mlflow"], replace(run_at(0), config={"many": fields})).close()
    (run,) = runs(run_at(0).logs / "mlflow")
    assert run.data.params == {f"many.{key}": str(value) for key, value in fields.items()}


def test_a_run_that_an_error_ends_is_marked_as_failed(run_at) -> None:
    tracker = open_trackers(["mlflow"], run_at(0))
    with pytest.raises(RestainError, match="not finite"):
        try:
            raise RestainError("loss term G is not finite")
        finally:
            tracker.close()
    assert runs(run_at(0).logs / "mlflow")[0].info.status == "FAILED"


def test_a_run_that_mends_an_earlier_one_is_not_marked_as_failed(run_at) -> None:
    try:
        raise RestainError("stopped")
    except RestainError:
        open_trackers(["mlflow"], run_at(0)).close()
    assert runs(run_at(0).logs / "mlflow")[0].info.status == "FINISHED"


def test_the_store_and_experiment_of_the_environment_are_used(
    run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "elsewhere").as_uri())
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "stains")
    open_trackers(["mlflow"], run_at(0)).close()
    assert len(runs(tmp_path / "elsewhere", "stains")) == 1
    assert not (run_at(0).logs / "mlflow").exists()


def test_a_run_that_the_store_does_not_hold_is_refused(run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_trackers(["mlflow"], run_at(0)).close()
    known = json.loads((run_at(0).logs / "mlflow.json").read_text())["id"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "elsewhere").as_uri())
    with pytest.raises(RestainError, match=rf"elsewhere did not resume run {known} of .*mlflow.json .*MLFLOW_TRACKING"):
        open_trackers(["mlflow"], run_at(4))


def test_a_store_that_fails_later_costs_its_own_rows_only(run_at) -> None:
    tracker = open_trackers(["mlflow"], run_at(0))
    client_of(run_at(0).logs / "mlflow").delete_run(json.loads((run_at(0).logs / "mlflow.json").read_text())["id"])
    with pytest.warns(UserWarning, match=r"tracker mlflow failed \(.*\); the run continues without it"):
        tracker.log(1, {"G": 1.0})
    tracker.log(2, {"G": 2.0})
    tracker.close()
    assert (run_at(0).logs / "train.csv").read_text().split() == ["step,G", "1,1", "2,2"]
