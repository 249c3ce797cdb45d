"""Plain words, short lines, commands and options that exist, and a README whose structure is that of the code."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from pages import IDIOMS, PAGES, PROGRAM, ROOT, blocks, find_command, options

import restain


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_plain_words_in_lines_of_at_most_130_characters(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    wide = [line for line in text.splitlines() if len(line) > 130 and not line.startswith("|")]
    assert not wide
    prose = re.sub(r"`[^`]*`", "", text)
    assert not re.findall(rf"\b({IDIOMS})\b", prose, re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_exists(page: Path) -> None:
    if page.name == "CHANGELOG.md":
        return  # names options of former versions
    text = page.read_text(encoding="utf-8")
    code = [line for _, block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    code += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    for line in code:
        for call in re.findall(r"(?:^|\s|/)restain ((?:[a-z]+ ?)+[^#`]*)", line.split(" #")[0]):
            command, rest = find_command(call.split())
            assert command is not None, f"restain {call}"
            used = {word.split("=")[0].strip("[]().,") for word in rest if word.lstrip("[(").startswith("--")}
            assert used <= options(command), f"restain {call}: {used - options(command)}"


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in PROGRAM.commands:
        assert f"restain {name}" in readme, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_call_of_the_package_fits_its_function(page: Path) -> None:
    for language, block in blocks(page):
        for call in ast.walk(ast.parse(block)) if language == "python" else ():
            if isinstance(call, ast.Call) and ast.unparse(call.func).startswith("restain."):
                function = getattr(restain, ast.unparse(call.func).removeprefix("restain."))
                named = {str(keyword.arg): None for keyword in call.keywords}
                inspect.signature(function).bind(*call.args, **named)


def test_the_structure_in_the_readme_is_that_of_the_code() -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Structure")[1]
    tree = re.findall(r"^```\n(src/restain/.*?)^```$", section, re.MULTILINE | re.DOTALL)[0]
    named = set(re.findall(r"\b\w+(?:/|\.py\b)", tree)) - {"src/", "restain/"}
    package = ROOT / "src" / "restain"
    there = {f"{path.name}/" for path in package.rglob("*") if path.is_dir()} | {p.name for p in package.rglob("*.py")}
    assert named - there - {f"{path.name}/" for path in ROOT.iterdir()} == set()
    top = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    top |= {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    assert top - named == set()
