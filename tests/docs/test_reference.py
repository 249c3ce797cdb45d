"""The reference pages are made from the code, and leave nothing out."""

import html
import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from pages import IDIOMS, PROGRAM, ROOT

import restain
from restain.metrics.catalogue import CATALOGUE
from restain.recipes import load_recipe, recipe_names, recipe_schema


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """``docs/reference.py``, which lies in no package."""
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _commands(command: Any, name: str = "restain") -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
    for word, child in (children or {}).items():
        yield from _commands(child, f"{name} {word}")


def test_every_command_and_option_is_there_with_its_help(reference: ModuleType) -> None:
    page = html.unescape(reference.commands_page())
    sections = {part.splitlines()[0].strip("# "): " ".join(part.split()) for part in page.split("\n##")}
    for name, command in _commands(PROGRAM):
        assert " ".join(command.help.split()) in sections[name]
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name} has no help"
            assert " ".join(parameter.help.split()) in sections[name]
            assert parameter.param_type_name == "argument" or parameter.opts[0] in sections[name]


def test_every_field_of_a_recipe_is_there(reference: ModuleType) -> None:
    page = reference.recipes_page()
    rows = {line.split("|")[1].strip() for line in page.splitlines() if line.startswith("| <code>")}
    fields = {f"<code>{name.replace('_', '&#95;')}</code>" for recipe in recipe_names() for name in _fields(recipe)}
    assert fields - rows == {"<code>method</code>"}  # a heading


def _fields(recipe: str) -> Iterator[str]:
    values = [load_recipe(recipe).to_flat()]
    for section in values:
        yield from (name for name, value in section.items() if not isinstance(value, dict))
        values.extend(value for value in section.values() if isinstance(value, dict))


def test_every_field_of_a_recipe_is_described() -> None:
    for name, section in recipe_schema()["$defs"].items():
        for field, value in section["properties"].items():
            assert "description" in value or "$ref" in value or "const" in value or "oneOf" in value, f"{name}.{field}"


def test_type_range_and_default_of_a_field(reference: ModuleType) -> None:
    rows = reference.recipes_page().splitlines()
    crop = next(row for row in rows if row.startswith("| <code>crop</code>"))
    assert crop == "| <code>crop</code> | whole number, ≥ 16, ≤ 8192 | 512 | side of a training crop, pixels |"
    mpp = next(row for row in rows if row.startswith("| <code>mpp</code>"))
    assert "number, ≥ 0.01, ≤ 100 or none | none |" in mpp


def test_every_metric_is_there(reference: ModuleType) -> None:
    page = reference.metrics_page()
    for metric in CATALOGUE:
        assert f"{{ #{metric.name} }}" in page


def test_every_public_name_is_there_with_its_arguments(reference: ModuleType) -> None:
    page = html.unescape(reference.python_page())
    sections = {part.splitlines()[0]: part for part in page.split("\n## ")}
    assert set(restain.__all__) <= set(sections)
    for name in restain.__all__:
        value = getattr(restain, name)
        wanted = inspect.signature(value).parameters if inspect.isfunction(value) else ()
        assert all(re.search(rf"^ +{word}: ", sections[name], re.MULTILINE) for word in wanted), name
    assert "- <code>batch</code>: images per pass;" in sections["stain"]


def test_docstrings_help_and_descriptions_are_plain(reference: ModuleType) -> None:
    for place, page in reference.PAGES.items():
        if place.startswith("reference/"):
            assert not re.findall(rf"\b({IDIOMS})\b", html.unescape(page()), re.IGNORECASE), place


def test_the_pages_need_no_torch() -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT / 'docs')!r}); import reference\n"
    script += "[page() for page in reference.PAGES.values()]; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
