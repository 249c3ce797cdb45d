"""One thread, and one whole run that several tests look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from running import WHOLE, run
from small import FAST


@pytest.fixture(autouse=True, scope="package")
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def whole(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An uninterrupted run of 18 steps with a moving average, validated every 5 steps."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    run(pairs, out, FAST, *WHOLE)
    return out
