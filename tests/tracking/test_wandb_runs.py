"""Weights & Biases in offline mode, read back from its files: one run over several sittings, and never a question."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from restain.errors import RestainError
from restain.tracking import open_trackers

wandb = pytest.importorskip("wandb", reason="wandb is not installed (pip install 'restain[wandb]')")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing leaves the machine, and no login of the person at it is used."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    wandb.teardown()


def sittings(folder: Path) -> list[list[Any]]:
    """The records that wandb would send, of each sitting, oldest first."""
    wandb.teardown()  # its service flushes the file of an offline run some time after the run has ended
    return [list(records(file.read_bytes())) for file in sorted(folder.glob("logs/wandb/offline-run-*/run-*.wandb"))]


def records(data: bytes) -> Iterator[Any]:
    """LevelDB's log format after a header of 7 bytes: blocks of 32 KiB; of each piece the CRC, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    position, whole = 7, b""
    while position < len(data):
        left = 2**15 - position % 2**15
        if left < 7:
            position += left
            continue
        length, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        whole += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(whole)
            whole = b""


def history(sitting: list[Any]) -> dict[int, dict[str, Any]]:
    """What was logged at each step, without wandb's own keys."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for record in sitting:
        if record.WhichOneof("record_type") == "history":
            items = {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in record.history.item}
            found[items["_step"]] |= {key: value for key, value in items.items() if not key.startswith("_")}
    return dict(found)


def only(sitting: list[Any], kind: str) -> Any:
    """The one record of a kind."""
    (record,) = [record for record in sitting if record.WhichOneof("record_type") == kind]
    return getattr(record, kind)


def test_a_run_is_written_down_whole(run_at, picture: Path) -> None:
    tracker = open_trackers(["wandb"], run_at(0))
    tracker.log(2, {"G": 0.5})
    tracker.log(2, {"val/dab_r": 0.25})
    tracker.picture(2, "samples", picture)
    tracker.log(4, {"G": 0.125})
    tracker.close()
    folder = run_at(0).folder
    (sitting,) = sittings(folder)
    run = only(sitting, "run")
    assert (run.project, run.display_name) == ("restain", "asp")
    assert run.run_id == json.loads((folder / "logs" / "wandb.json").read_text())["id"]
    config = {update.key: json.loads(update.value_json) for update in run.config.update}
    assert config["optim"] == {"lr": 2e-4, "betas": [0.5, 0.999], "ema": None}
    found = history(sitting)
    image = {key: found[2].pop(key) for key in list(found[2]) if key.startswith("samples/")}
    assert found == {2: {"G": 0.5, "val/dab_r": 0.25}, 4: {"G": 0.125}}
    (kept,) = folder.glob(f"logs/wandb/offline-run-*/files/{image['samples/path']}")
    assert kept.read_bytes() == picture.read_bytes()
    assert only(sitting, "exit").exit_code == 0


def test_reopening_continues_the_same_run(run_at) -> None:
    for start in (0, 4):
        tracker = open_trackers(["wandb"], run_at(start))
        tracker.log(start + 2, {"G": 1.0})
        tracker.close()
    runs = [only(sitting, "run") for sitting in sittings(run_at(0).folder)]
    assert len(runs) == 2 and runs[0].run_id == runs[1].run_id
    open_trackers(["wandb"], run_at(0)).close()  # begins anew, as the CSV does
    assert len({only(sitting, "run").run_id for sitting in sittings(run_at(0).folder)}) == 2


def test_a_run_that_an_error_ends_is_marked_as_failed(run_at) -> None:
    tracker = open_trackers(["wandb"], run_at(0))
    with pytest.raises(RestainError, match="not finite"):
        try:
            raise RestainError("loss term G is not finite")
        finally:
            tracker.close()
    (sitting,) = sittings(run_at(0).folder)
    assert only(sitting, "exit").exit_code == 1


def test_the_project_of_the_environment_is_used(run_at, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "stains")
    open_trackers(["wandb"], run_at(0)).close()
    assert only(sittings(run_at(0).folder)[0], "run").project == "stains"


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"id": 3}'])
def test_a_damaged_id_is_refused(run_at, content: str) -> None:
    run_at(0).logs.mkdir(parents=True)
    (run_at(0).logs / "wandb.json").write_text(content)
    with pytest.raises(RestainError, match=r"wandb.json: holds no run; expected \{\"id\""):
        open_trackers(["wandb"], run_at(4))


def test_a_service_that_is_gone_costs_its_own_rows_only(run_at) -> None:
    tracker = open_trackers(["wandb"], run_at(0))
    wandb.teardown()
    with pytest.warns(UserWarning, match=r"tracker wandb failed \(.*\); the run continues without it"):
        tracker.log(1, {"G": 1.0})
    tracker.log(2, {"G": 2.0})
    tracker.close()
    assert (run_at(0).logs / "train.csv").read_text().split() == ["step,G", "1,1", "2,2"]


def test_another_active_run_is_not_written_into(run_at, tmp_path: Path) -> None:
    with (
        wandb.init(project="other", dir=str(tmp_path)) as other,
        pytest.raises(RestainError, match=f"wandb run {other.id} is active in this process; finish it"),
    ):
        open_trackers(["wandb"], run_at(0))


def test_without_a_login_nothing_is_asked_in_a_terminal(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path\n"
        "from restain.tracking import RunInfo, open_trackers\n"
        "from restain.errors import RestainError\n"
        "try:\n"
        f"    open_trackers(['wandb'], RunInfo(name='a', config={{}}, folder=Path({str(tmp_path)!r}), step=0))\n"
        "except RestainError as error:\n"
        "    print(f'<{error}>')\n"
    )
    environment = {**os.environ, "TERM": "xterm", "WANDB_SILENT": "false"}
    del environment["WANDB_MODE"]
    screen, terminal = os.openpty()
    with os.fdopen(screen, "rb", buffering=0) as screen_file:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=terminal, stdout=terminal, stderr=terminal, env=environment, timeout=60
        )
        os.close(terminal)
        shown = screen_file.read(2**16).decode()
    assert done.returncode == 0
    assert "; set WANDB_MODE=offline, or log in with 'wandb login'>" in shown
    assert "Enter your choice" not in shown
