"""Jobs in processes of their own."""

import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from restain.benchmarking.processes import in_own_process
from restain.errors import RestainError
from restain.files import read_json


def test_a_result_and_an_error_come_back(tmp_path: Path) -> None:
    assert in_own_process(os.getpid) != os.getpid()
    with pytest.raises(RestainError, match=r"absent\.json: no such file"):
        in_own_process(read_json, tmp_path / "absent.json")
    with pytest.raises(RestainError, match="ZeroDivisionError: division by zero"):
        in_own_process(operator.truediv, 1, 0)


def test_a_process_that_is_killed_or_ends_without_a_result_is_an_error_that_says_so() -> None:
    with pytest.raises(RestainError, match="its process was killed by SIGKILL"):
        in_own_process(signal.raise_signal, signal.SIGKILL)
    with pytest.raises(RestainError, match="its process ended with exit status 3 and without a result"):
        in_own_process(os._exit, 3)


def test_a_script_without_a_guard_is_told_of_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import restain\nfrom restain.benchmarking.processes import in_own_process\n"
        "from restain.benchmarking import bench_verb\nbench_verb._plan = lambda *_: in_own_process(int)\n"
        "restain.bench('data', ['pix2pix'])\n"
    )
    path = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(script)], env=path, capture_output=True, text=True, check=False)
    assert "expected the call in the script under: if __name__ == '__main__':" in done.stderr
    assert "its process ended with exit status 1" in done.stderr


WAITING = "time.sleep(60)"
HOLDING = "signal.signal(signal.SIGTERM, lambda *_: done.append(1))\nwhile not done: time.sleep(0.02)"  # as a training


@pytest.mark.parametrize("waiting", [WAITING, HOLDING])
def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path, waiting: str) -> None:
    fifo = tmp_path / "held.txt"
    script = tmp_path / "parent.py"
    code = f"import os, signal, time\ndone = []\nopen({str(fifo)!r}, 'w').write(str(os.getpid()))\n{waiting}"
    script.write_text(
        "from restain.benchmarking.processes import in_own_process\n"
        f"if __name__ == '__main__':\n    in_own_process(exec, {code!r}, {{}})\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    deadline = time.monotonic() + 30
    while not (fifo.is_file() and fifo.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    child = int(fifo.read_text())
    parent.kill()
    parent.wait()
    while time.monotonic() < deadline:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError("the process lives on")
