import json
from pathlib import Path

import pytest

from restain.errors import RestainError
from restain.evaluation.schema import SUMMARY
from restain.reporting import report

OWN, OTHER = "cafe" * 16, "abad" * 16  # the first is the hash of the run's stainer
REFUSAL = "the run holds the stainer cafecafecafe..., the evaluated images were made by abadabadabad..."


def record(evaluation: Path, weights: str) -> None:
    """Note a stainer in the summary, as ``restain evaluate`` does."""
    path = evaluation / SUMMARY
    made = {
        "stainer": "1" * 64,
        "weights_sha256": weights,
        "recipe": "tiny",
        "stain": "ER",
        "mpp": 0.5,
        "norm": "stainer",
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | {"stainers": {"virtual": made}}))


def test_a_run_with_the_evaluation_of_another_stainer_is_refused(tmp_path: Path, run: Path, evaluation: Path) -> None:
    record(evaluation, OTHER)
    with pytest.raises(RestainError, match=r"do not belong together: the run holds the stainer cafe.*made by abad"):
        report(tmp_path / "page.html", run=run, evaluation=evaluation)
    assert not (tmp_path / "page.html").exists()
    page = report(tmp_path / "page.html", run=run, evaluation=evaluation, force=True)
    assert REFUSAL in page.read_text()
    assert REFUSAL not in report(tmp_path / "alone.html", evaluation=evaluation).read_text()


def test_a_run_with_its_own_evaluation_is_not_marked(tmp_path: Path, run: Path, evaluation: Path) -> None:
    record(evaluation, OWN)
    text = report(tmp_path / "page.html", run=run, evaluation=evaluation).read_text()
    assert "belong together" not in text and "is not recorded" not in text


def test_the_best_stainer_of_a_run_is_its_own_too(tmp_path: Path, run: Path, evaluation: Path) -> None:
    record(evaluation, OTHER)
    (run / "stainer-best").mkdir()
    (run / "stainer-best" / "config.json").write_text(json.dumps({"weights_sha256": OTHER}))
    assert report(tmp_path / "page.html", run=run, evaluation=evaluation).is_file()


def test_images_of_an_unknown_stainer_are_marked(tmp_path: Path, run: Path, evaluation: Path) -> None:
    text = report(tmp_path / "page.html", run=run, evaluation=evaluation).read_text()
    assert "It is not recorded which stainer made the evaluated images" in text
