"""The commands of the tutorials, run in the order in which they stand, on small data with small networks."""

import shlex
import shutil
from pathlib import Path

import pytest
from pages import ROOT, blocks, find_command, lines
from small import FAST
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.training.session import train

TUTORIALS = ROOT / "docs" / "tutorials"
SMALL = [word for change in (*FAST, "optim.steps=2", "engine.workers=0") for word in ("--set", change)]
NOT_RUN = ("restain weights fetch", "restain view")  # need the internet; serve until they are stopped


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTAIN_WEIGHTS", str(tmp_path / "weights"))  # none: networks would take long


def _run(tutorial: str) -> set[str]:
    """Run every command of a page, and give their names."""
    run = set()
    for language, block in blocks(TUTORIALS / tutorial):
        if language != "bash":
            continue
        for line in lines(block):
            program, *words = shlex.split(line)
            assert program == "restain"
            command, rest = find_command(words)
            assert command is not None, line
            run.add(" ".join(words[: len(words) - len(rest)]))
            if line.startswith(NOT_RUN):
                continue
            done = CliRunner().invoke(app, [*words, *SMALL] if words[0] == "train" else words)
            assert done.exit_code == 0, f"{line}\n{done.output}\n{done.exception!r}"
    return run


def test_the_researcher_has_a_table_and_a_page() -> None:
    restain.phantom("her2", "MIST/HER2/TrainValAB", pairs=6, size=64)
    assert _run("researcher.md") >= {"data inspect", "train", "stain", "evaluate", "table", "report"}
    assert r"\toprule" in Path("table.tex").read_text(encoding="utf-8")
    assert "<html" in Path("report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a very short training."""
    run = tmp_path_factory.mktemp("trained") / "run"
    changes = [*FAST, "optim.steps=2", "engine.workers=0", "data.mpp=0.5", "data.stain=HER2", "validation.every=0"]
    train(pairs, run, "tiny", overrides=changes)
    return run


@pytest.fixture
def stainer(trained: Path) -> Path:
    """The run folder under the name that the tutorials give it."""
    shutil.copytree(trained, "runs/her2")
    return Path("runs/her2")


def test_the_laboratory_has_slides_for_qupath(stainer: Path) -> None:
    restain.phantom("her2", "drawn", size=300, options=restain.PhantomOptions(slide=True))
    Path("slides").mkdir()
    Path("drawn/he.tif").rename("slides/case7.tif")
    assert _run("laboratory.md") == {"slide", "check", "view"}
    assert Path("virtual/case7.ome.tif").is_file() and Path("virtual/qupath.groovy").is_file()


def test_the_pathologist_has_the_page_that_is_explained(stainer: Path, pairs: Path) -> None:
    restain.stain(stainer, pairs / "valA", "virtual")
    restain.evaluate(pairs / "valB", "virtual", out="evaluation", source=pairs / "valA")
    restain.phantom("her2", "drawn", size=300, options=restain.PhantomOptions(slide=True))
    restain.slide(stainer, "drawn/he.tif", "virtual-slides")
    assert _run("pathologist.md") == {"report", "view"}
    assert "<html" in Path("report.html").read_text(encoding="utf-8")
