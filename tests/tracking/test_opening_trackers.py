"""Names that cannot be opened are refused at once; a server that fails costs its own rows only."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from restain.errors import RestainError
from restain.tracking import TRACKERS, check_trackers, open_trackers
from restain.tracking.tracker import TrackerLost


def test_an_unknown_name_is_refused_with_the_choices(run_at) -> None:
    for refuse in (check_trackers, lambda names: open_trackers(names, run_at(0))):
        with pytest.raises(RestainError, match="unknown tracker 'comet'; expected one of csv, tensorboard, wandb, mlf"):
            refuse(["csv", "comet"])
    assert not run_at(0).folder.exists()


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_named_with_its_extra(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / name).mkdir()  # such as wandb leaves where a script ran
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(RestainError, match=rf"tracker {name} needs a package .* pip install 'restain\[{name}\]'"):
        check_trackers([name])


def test_asking_imports_nothing_heavy() -> None:
    code = (
        "import sys, restain.tracking as tracking\n"
        "tracking.check_trackers(['csv', 'tensorboard'])\n"
        "print(sorted({'torch', 'tensorboard', 'wandb', 'mlflow', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_csv_is_always_on_and_every_row_reaches_each(run_at) -> None:
    tracker = open_trackers(["tensorboard", "tensorboard"], run_at(0))
    tracker.log(2, {"G": 0.5})
    tracker.close()
    logs = run_at(0).folder / "logs"
    assert sorted(path.name for path in logs.iterdir()) == ["tensorboard", "train.csv"]
    assert len(list((logs / "tensorboard").iterdir())) == 1


class Recorder:
    """A tracker that notes what it is told, and breaks when it should."""

    def __init__(self, broken: type[Exception] | None = None) -> None:
        self.told: list[object] = []
        self.broken = broken

    def log(self, step, values) -> None:
        self._note((step, dict(values)))

    def picture(self, step, name, path) -> None:
        self._note((step, name, path))

    def close(self) -> None:
        self._note("closed")

    def _note(self, what: object) -> None:
        self.told.append(what)
        if self.broken is not None:
            raise self.broken("no route to host")


def test_a_server_that_fails_is_left_behind_with_a_warning(run_at, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Recorder(TrackerLost)
    monkeypatch.setattr(import_module("restain.tracking.tensorboard"), "open_tracker", lambda info: failing)
    tracker = open_trackers(["tensorboard"], run_at(0))
    with pytest.warns(UserWarning, match=r"tracker tensorboard failed \(no route to host\); the run continues without"):
        tracker.log(1, {"G": 1.0})
    tracker.log(2, {"G": 2.0})
    tracker.close()
    assert failing.told == [(1, {"G": 1.0})]
    assert (run_at(0).folder / "logs" / "train.csv").read_text().split() == ["step,G", "1,1", "2,2"]


def test_trackers_are_closed_where_a_later_one_cannot_be_opened(run_at, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Recorder()

    def refuse(info) -> None:
        raise RestainError("a damaged log")

    monkeypatch.setattr(import_module("restain.tracking.csv"), "open_tracker", lambda info: first)
    monkeypatch.setattr(import_module("restain.tracking.tensorboard"), "open_tracker", refuse)
    with pytest.raises(RestainError, match="a damaged log"):
        open_trackers(["tensorboard"], run_at(0))
    assert first.told == ["closed"]


def test_each_tracker_is_closed_even_where_another_one_fails(run_at, monkeypatch: pytest.MonkeyPatch) -> None:
    trackers = {"csv": Recorder(OSError), "tensorboard": Recorder()}
    for name, tracker in trackers.items():
        monkeypatch.setattr(
            import_module(f"restain.tracking.{name}"), "open_tracker", lambda info, tracker=tracker: tracker
        )
    with pytest.raises(OSError, match="no route to host"):
        open_trackers(["tensorboard"], run_at(0)).close()
    assert [tracker.told for tracker in trackers.values()] == [["closed"], ["closed"]]


def test_every_name_has_its_module() -> None:
    folder = Path(import_module("restain.tracking").__file__).parent
    assert all((folder / f"{name}.py").is_file() for name in TRACKERS)
