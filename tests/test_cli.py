"""The command line: quick help, the same words as Python, one sentence for an error."""

import dataclasses
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import restain
from restain.cli import app, main

COMMANDS = {
    (*group, name): command
    for group, commands in (
        ((), typer.main.get_command(app).commands),  # type: ignore[attr-defined]
        (("data",), typer.main.get_command(app).commands["data"].commands),  # type: ignore[attr-defined]
        (("weights",), typer.main.get_command(app).commands["weights"].commands),  # type: ignore[attr-defined]
        (("study",), typer.main.get_command(app).commands["study"].commands),  # type: ignore[attr-defined]
    )
    for name, command in commands.items()
    if not hasattr(command, "commands")
}


@pytest.mark.parametrize("words", [(), *COMMANDS, ("recipes", "show")], ids=" ".join)
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    script = (
        "import sys; from restain.cli import app\n"
        f"try: app({[*words, '--help']!r})\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'matplotlib', 'yaml', 'lightning_fabric'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


SAME = {
    ("train",): restain.train,
    ("extract",): restain.extract,
    ("bench",): restain.bench,
    ("stain",): restain.stain,
    ("calibrate",): restain.calibrate,
    ("slide",): restain.slide,
    ("evaluate",): restain.evaluate,
    ("check",): restain.check,
    ("view",): restain.view,
    ("study", "make"): restain.make_study,
    ("study", "serve"): restain.serve_study,
    ("study", "analyse"): restain.analyse_study,
    ("report",): restain.report,
    ("table",): restain.table,
    ("push",): restain.push,
    ("pull",): restain.pull,
    ("phantom",): restain.phantom,
    ("register",): restain.register,
    ("pairs",): restain.pairs,
    ("data", "inspect"): restain.inspect,
    ("demo",): restain.demo,
    ("doctor",): restain.doctor,
    ("import",): restain.import_weights,
    ("weights", "list"): restain.list_weights,
    ("weights", "path"): restain.weights_path,
    ("weights", "add"): restain.add_weights,
    ("weights", "fetch"): restain.fetch_weights,
    ("export",): restain.export,
}
GROUPED = {  # parameters of a Python call that hold several options, or that the command line decides itself
    "machine": {"device", "devices", "nodes"},
    "train overrides": {"overrides", "track"},
    "options": {
        *("mpp", "val_fraction", "slide", "jpeg_quality", "blur", "noise"),
        *("consecutive", "warp", "shift", "rotation", "turnover", "laboratory"),
    },
    "evaluate options": {field.name for field in dataclasses.fields(restain.EvaluationOptions)},
    "slide options": {field.name for field in dataclasses.fields(restain.SlideOptions)},
    "bench options": {field.name for field in dataclasses.fields(restain.BenchOptions)},
    "slide workers": {"workers"},
    "pairs options": {field.name for field in dataclasses.fields(restain.PairOptions)},
    "pairs workers": {"workers"},
    "register workers": {"workers"},
    "workers": set(),
    "scale": set(),
}

STOPPING = {"explain", "dry_run"}  # print something and stop, whatever else was asked for
ARGUMENTS = {"slides", "images"}  # another way to name the input
AFTERWARDS = {"browser", "as_json"}  # what the command does with the result


@pytest.mark.parametrize("words", SAME, ids=" ".join)
def test_options_are_the_parameters_of_the_function(words: tuple[str, ...]) -> None:
    options = {parameter.name for parameter in COMMANDS[words].params}
    expected: set[str] = set()
    for name in inspect.signature(SAME[words]).parameters:
        expected |= GROUPED.get(f"{words[-1]} {name}") or GROUPED.get(name, {name})
    assert options - (STOPPING - expected) - (ARGUMENTS - expected) - AFTERWARDS == expected


def test_every_command_is_a_verb_and_every_verb_resolves() -> None:
    assert set(COMMANDS) == set(SAME)
    for name in restain.__all__:
        assert getattr(restain, name) is not None
    assert set(dir(restain)) == set(restain.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'stein'"):
        _ = restain.stein


def test_an_error_is_one_line_and_exit_status_2(tmp_path: Path) -> None:
    for arguments in (
        ["train", "--data", str(tmp_path / "absent"), "--out", str(tmp_path / "run")],
        ["stain", "--stainer", str(tmp_path), "--input", str(tmp_path), "--out", str(tmp_path / "out")],
        ["recipes", "show", "nothing"],
        ["phantom", "--marker", "cd3", "--out", str(tmp_path / "tissue")],
    ):
        done = subprocess.run([sys.executable, "-m", "restain.cli", *arguments], capture_output=True, text=True)
        assert done.returncode == 2, arguments
        assert done.stderr.startswith("restain: ") and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_recipes_are_listed_and_shown_resolved() -> None:
    runner = CliRunner()
    listed = runner.invoke(app, ["recipes"]).stdout.splitlines()
    assert [line.split()[0] for line in listed] == restain.recipe_names()
    shown = runner.invoke(app, ["recipes", "show", "tiny", "--set", "optim.lr=1e-4", "--set", "seed=3"]).stdout
    assert "lr: 0.0001" in shown and "seed: 3" in shown and "ramp_kimg: 2.0" in shown


def test_failed_files_give_a_non_zero_exit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from restain.staining import StainingResult

    result = StainingResult(written=[tmp_path / "a.png"], failed={tmp_path / "b.png": "b.png: broken"})
    monkeypatch.setattr("restain.staining.stain", lambda *_, **__: result)
    done = CliRunner().invoke(app, ["stain", "--stainer", "s", "--input", "i", "--out", "o"])
    assert done.exit_code == 1
    assert "1 written, 0 unchanged, 1 failed" in done.output and "failed: b.png: broken" in done.output


def test_main_turns_a_restain_error_into_an_exit(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["restain", "recipes", "show", "nothing"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    assert "no recipe named nothing" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_one_line_too(tmp_path: Path, pairs: Path) -> None:
    (tmp_path / "file").touch()
    arguments = ["data", "inspect", str(pairs), "--out", str(tmp_path / "file")]
    done = subprocess.run([sys.executable, "-m", "restain.cli", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("restain: ") and str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_paths_may_be_strings(pairs: Path, tmp_path: Path) -> None:
    assert restain.inspect(str(pairs), str(tmp_path / "inspected")).can_train
    restain.evaluate(
        real=str(pairs / "valB"), fake=str(pairs / "valB"), out=str(tmp_path / "judged"), source=str(pairs / "valA")
    )
    assert restain.report(str(tmp_path / "page.html"), evaluation=str(tmp_path / "judged")).is_file()
    restain.phantom("er", str(tmp_path / "tissue"), pairs=1, size=64)
