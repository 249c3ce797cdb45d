"""Every bad input of the corpus ends in one sentence, and nothing of the user's is touched."""

from pathlib import Path

import pytest
from corpus import commands, looking, others, pictures, recipes, runs, slides, tables  # noqa: F401 - each registers its cases
from corpus.registry import Case, parameters, run_case


@pytest.mark.parametrize("one", parameters())
def test_a_bad_input_ends_in_one_sentence(
    one: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_case(one, tmp_path, monkeypatch, capsys)
