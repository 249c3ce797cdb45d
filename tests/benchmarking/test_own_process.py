"""Jobs in processes of their own."""

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


def test_a_process_that_is_killed_is_an_error_that_says_so() -> None:
    with pytest.raises(RestainError, match="its process was killed"):
        in_own_process(signal.raise_signal, signal.SIGKILL)


def test_a_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    fifo = tmp_path / "held.txt"
    script = tmp_path / "parent.py"
    script.write_text(
        "import subprocess, sys\n"
        "from restain.benchmarking.processes import in_own_process\n"
        "if __name__ == '__main__':\n"
        "    code = 'import os, time; open({!r}, \"w\").write(str(os.getpid())); time.sleep(60)'\n"
        f"    in_own_process(exec, code.format({str(fifo)!r}))\n"
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
