"""Property tests of the parsers: whatever a file holds, nothing comes out but a value or a RestainError of one line."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restain.data.layouts import find_pairs
from restain.errors import RestainError, printable, quoted
from restain.evaluation.schema import read_summary
from restain.files import read_json
from restain.names import fault_of, file_names, folded
from restain.recipes import load_recipe
from restain.reporting.run_files import read_run
from restain.reporting.tables import read_table
from restain.run_folder import RunFolder
from restain.yaml_text import load_yaml

FEW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
FIELDS = st.sampled_from(
    [
        "extends",
        "name",
        "about",
        "method",
        "seed",
        "generator",
        "data",
        "optim",
        "engine",
        "log",
        "validation",
        "patches",
        "patch_nce",
        "a2sp",
        "gan",
        "diffusion",
        "discriminator",
        "pyramid",
        "cycle",
        "kind",
        "ngf",
        "blocks",
        "crop",
        "paired",
        "mpp",
        "stain",
        "target",
        "lr",
        "betas",
        "batch",
        "epochs",
        "steps",
        "every",
    ]
)
RECIPES = st.dictionaries(FIELDS, VALUES | st.dictionaries(FIELDS, VALUES, max_size=4), max_size=6)
YAML = st.text(alphabet="ab1-:?,[]{}&*!|>'\"#%@`~ \n\t.0xef", max_size=120) | st.text(max_size=60)


def _only_sentences(read: Callable[[], object]) -> None:
    try:
        read()
    except RestainError as error:
        assert printable(str(error)) and len(str(error)) < 5000


@FEW
@given(YAML)
def test_yaml(text: str) -> None:
    _only_sentences(lambda: load_yaml(text, "text"))


@FEW
@given(VALUES)
def test_yaml_reads_what_was_written_as_the_library_does(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    found: list[object] = []
    with contextlib.suppress(RestainError):  # a number of more than 64 characters, an alias
        found.append(load_yaml(text, "text"))
    assert not found or repr(found[0]) == repr(yaml.safe_load(text))


@FEW
@given(RECIPES | VALUES, st.text(max_size=20))
def test_recipes(tmp_path: Path, values: object, override: str) -> None:
    path = tmp_path / "recipe.yaml"
    if isinstance(values, dict):
        values.setdefault("extends", "tiny")
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    _only_sentences(lambda: load_recipe(path))
    _only_sentences(lambda: load_recipe("tiny", [override]))
    _only_sentences(lambda: load_recipe("tiny", [f"optim.lr={override}"]))


CELL = st.text(alphabet='ab/\\.",\n\r\0 \u00e9\u0130', max_size=8) | st.sampled_from(
    ["train", "val", "test", "he.png", ""]
)


@FEW
@given(st.lists(st.lists(CELL, min_size=2, max_size=6), max_size=4), st.binary(max_size=20))
def test_manifests(tmp_path: Path, rows: list[list[str]], tail: bytes) -> None:
    (tmp_path / "he.png").touch()
    path = tmp_path / "data.csv"
    text = "id,source,target,split\n" + "".join(",".join(row) + "\n" for row in rows)
    path.write_bytes(text.encode() + tail)
    _only_sentences(lambda: find_pairs(path))
    path.write_bytes(tail)
    _only_sentences(lambda: find_pairs(path))


@FEW
@given(st.binary(max_size=60) | st.text(alphabet='ab,"\n1.e', max_size=60).map(str.encode))
def test_tables(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with contextlib.suppress(RestainError):
        table = read_table(tmp_path / "a.csv")
        for name, cells in table.columns.items():
            assert len(cells) == len(table) == len(table.numbers(name))


@FEW
@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), st.binary(max_size=30))
def test_json(tmp_path: Path, value: dict[str, object], raw: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(raw)
    _only_sentences(lambda: read_json(path))
    path.write_text(json.dumps(value), encoding="utf-8")
    assert repr(read_json(path)) == repr(json.loads(json.dumps(value)))


@FEW
@given(VALUES)
def test_summaries_and_environments(tmp_path: Path, value: object) -> None:
    wrapped = value if isinstance(value, dict) else {"format": 2, "systems": value, "sessions": value}
    for name in ("summary.json", "environment.json"):
        (tmp_path / name).write_text(json.dumps(wrapped), encoding="utf-8")
    _only_sentences(lambda: read_summary(tmp_path / "summary.json"))
    _only_sentences(lambda: RunFolder(tmp_path).read_environment())


@FEW
@given(VALUES, st.binary(max_size=40))
def test_run_folders(tmp_path: Path, value: object, raw: bytes) -> None:
    (tmp_path / "stainer").mkdir(exist_ok=True)
    (tmp_path / "stainer" / "config.json").write_text(json.dumps({"recipe": value, "mpp": value}), encoding="utf-8")
    (tmp_path / "recipe.yaml").write_bytes(raw)
    _only_sentences(lambda: read_run(tmp_path).recipe_name)


@FEW
@given(st.lists(st.text(max_size=300) | st.sampled_from(["a/b", "a_b", "CON", "con.x", "..", "A/b", ""]), unique=True))
def test_names_of_files(ids: list[str]) -> None:
    names = file_names(ids)
    assert list(names) == ids
    assert len({folded(name) for name in names.values()}) == len(ids)
    for name in names.values():
        assert 0 < len(name.encode()) <= 130
        assert not set(name) & set('<>:"/\\|?*\0\n') and name[0] != "." and name[-1] not in ". "


@pytest.mark.parametrize("name", ["S1_001", "slide/field 3", "00820_test_2+", "é", "a.b"])
def test_an_ordinary_id_is_its_own_name(name: str) -> None:
    assert fault_of(name) == ""
    assert file_names([name])[name] == name.replace("/", "_")


@FEW
@given(st.text())
def test_what_is_printed_is_one_line_that_every_terminal_can_show(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1 and "\x1b" not in shown
    shown.encode("utf-8")


def test_a_value_is_quoted_in_short() -> None:
    assert quoted("a") == "'a'"
    assert quoted("x" * 500).endswith("... (502 characters)") and len(quoted("x" * 500)) < 120
    assert quoted(10**5000) == "a value of type int that is too large to be shown"
