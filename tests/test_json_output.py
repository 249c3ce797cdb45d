"""``--json``: one object on standard output and nothing else, with what the tables show."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import restain
from restain.cli import app
from restain.console.as_json import plain
from restain.images import write_png
from restain.networks.specs import ResnetSpec
from restain.stainer import StainerCard
from restain.stainer_files import save_stainer
from restain.wsi.geometry import Size


def printed(*words: object, status: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == status, done.output
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_doctor() -> None:
    found = printed("doctor", "--json")
    assert [one["what"] for one in found["findings"]] == [one.what for one in restain.doctor()]
    assert found["ok"] == all(one["ok"] for one in found["findings"])


def test_weights() -> None:
    found = printed("weights", "list", "--json")
    assert [one["name"] for one in found["files"]] == [one.file.name for one in restain.list_weights()]
    assert {one["state"] for one in found["files"]} <= {"present", "missing", "damaged"}


def test_inspection_and_its_exit_status(pairs: Path, tmp_path: Path) -> None:
    found = printed("data", "inspect", pairs, "--json")
    assert found["layout"] == "mist" and found["can_train"] and found["splits"]["train"]["pairs"] == 6
    write_png(tmp_path / "trainA" / "a.png", np.zeros((8, 8, 3), dtype=np.uint8))
    (tmp_path / "trainB").mkdir()
    (tmp_path / "trainB" / "a.png").write_bytes(b"no image")
    assert not printed("data", "inspect", tmp_path, "--json", status=1)["can_train"]


def test_slides_and_their_check(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (96, 128, 3), dtype=np.uint8)
    write_png(tmp_path / "case.png", pixels)
    card = StainerCard(stain="ER", mpp=0.5, tile_size=32, recipe="tiny", trained={})
    save_stainer(tmp_path / "stainer", ResnetSpec(ngf=2, blocks=1).build(), card)
    words = [
        "slide",
        "--stainer",
        tmp_path / "stainer",
        "--out",
        tmp_path / "out",
        tmp_path / "case.png",
        "--mpp",
        "0.5",
    ]
    [estimate] = printed(*words, "--json", "--dry-run", "--norm", "slide")["estimates"]
    assert estimate["output"] == {"width": 128, "height": 96} and not (tmp_path / "out").exists()
    [slide] = printed(*words, "--json", "--norm", "slide")["slides"]
    assert slide["status"] == "stained" and slide["mpp"] == 0.5
    result = restain.check(slide["output"])
    checked = printed("check", slide["output"], "--json", status=0 if result.ok else 1)
    assert checked["problems"] == list(result.problems) and checked["views"][0]["levels"][0] == {
        "width": 128,
        "height": 96,
    }


@dataclass
class Record:
    path: Path
    value: float


def test_values_become_what_json_knows() -> None:
    value = {Size(2, 1): (Record(Path("a/b"), math.nan), 1), "n": None, "ok": True}
    assert plain(value) == {str(Size(2, 1)): [{"path": "a/b", "value": None}, 1], "n": None, "ok": True}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian"], "did you mean 'train'"),
        (["recipes", "show", "asp-dgrnk"], "did you mean asp-dgrank?"),
        (["recipes", "show", "tiny", "--set", "optim.epoch=3"], "unknown field optim.epoch, did you mean epochs?"),
        (["evaluate", "--explain", "dab_gird_r"], "did you mean dab_grid_r?"),
        (["weights", "path", "inception-fdi"], "did you mean inception-fid?"),
    ],
)
def test_what_is_nearly_right_is_named(words: list[str], sentence: str, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr("sys.argv", ["restain", *words])
    with pytest.raises(SystemExit) as stop:
        from restain.cli import main

        main()
    assert stop.value.code == 2
    assert sentence.lower() in capsys.readouterr().err.lower()
