"""Reference pages of the documentation, made from the code when the site is built (a hook of MkDocs).

Commands come from the command line itself, recipe fields from the models that check a recipe, metrics from the
catalogue. So a page cannot be out of date. No torch.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

import restain
from restain.cli import app
from restain.metrics.catalogue import CATALOGUE
from restain.metrics.metric import FAMILIES, Metric
from restain.recipes import Recipe, load_recipe, recipe_names, recipe_schema

ROOT = Path(__file__).resolve().parent.parent
_ABOVE, _BELOW = {"minimum": "≥", "exclusiveMinimum": ">"}, {"maximum": "≤", "exclusiveMaximum": "<"}
_DIRECTION = {"higher": "↑", "lower": "↓", "none": ""}


def commands_page() -> str:
    """Every command with its usage, arguments and options."""
    return "\n".join(_page("Commands", _ABOUT_COMMANDS, _commands(typer.main.get_command(app), ("restain",))))


def recipes_page() -> str:
    """The recipes that ship, and every field of a recipe: type, range, default, meaning."""
    schema = recipe_schema()
    return "\n".join(_page("Recipe fields", _ABOUT_RECIPES, [*_shipped(), *_common(), *_methods(schema)]))


def metrics_page() -> str:
    """Every metric by family: definition, range, source, weakness."""
    parts = (part for family in FAMILIES for part in _family(family))
    return "\n".join(_page("Metrics, by name", _ABOUT_METRICS, parts))


def python_page() -> str:
    """Every public function and class of the package: its signature and its description, read from the source."""
    parts = (part for name in restain.__all__ for part in _public(name))
    return "\n".join(_page("Python", _ABOUT_PYTHON, parts))


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/python.md": python_page,
    "reference/recipes.md": recipes_page,
    "reference/metrics.md": metrics_page,
    "changelog.md": lambda: (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
}


def on_files(files: Any, config: Any) -> Any:
    """MkDocs asks for the files of the site: the pages of this module are added to those of the folder."""
    from mkdocs.structure.files import File

    for place, page in PAGES.items():
        files.append(File.generated(config, place, content=page()))
    return files


_ABOUT_COMMANDS = """Every command and option, as in `restain COMMAND --help`. Each command is a function of the Python
package with the same name and the same options: `restain stain` is `restain.stain`."""

_ABOUT_PYTHON = """`import restain` gives these functions and classes; nothing heavy is imported until one is used.
Every error that comes from files or arguments is a `restain.RestainError` with one sentence."""

_ABOUT_RECIPES = """A recipe is a YAML file. It has a name, a `method`, the sections that every method shares, and the
sections of its method. `restain recipes show NAME` prints every value of a recipe; `--set section.field=value` changes
one.
[Training](../training.md) explains how a recipe is written and used."""

_ABOUT_METRICS = """Every metric of `restain evaluate`, as the code has it. `restain evaluate --explain NAME`
prints the same. ↑: higher is better. ↓: lower is better. Metrics without an arrow describe, and have no better
direction. [Metrics](../metrics.md) has the protocols, measurements and comparisons."""


def _page(title: str, about: str, parts: Iterable[str]) -> Iterator[str]:
    yield f"# {title}\n"
    yield f"{about}\n"
    yield from parts


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |"
    yield ""


def _code(text: str) -> str:
    """As code; a vertical bar would end the cell of a table, so it is written as a character reference."""
    return f"<code>{_plain(text)}</code>"


def _plain(text: str) -> str:
    """The text without what Markdown or HTML would read as markup."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"&#{ord(sign)};" if sign in r"\`*_[]" else sign for sign in text)


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[str]:
    context = typer.Context(command, info_name=" ".join(words))
    if children := getattr(command, "commands", None):
        if len(words) > 1:
            yield f"## {' '.join(words)}\n"
            yield f"{command.help}\n"
        for name, child in children.items():
            yield from _commands(child, (*words, name))
        return
    yield f"{'##' if len(words) == 2 else '###'} {' '.join(words)}\n"
    yield f"{_paragraphs(command.help)}\n"
    yield f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
    records = [
        record
        for parameter in command.get_params(context)
        if parameter.name != "help" and (record := parameter.get_help_record(context))
    ]
    if records:
        yield from _table(("option", "meaning"), ((_code(name), _plain(text)) for name, text in records))


def _paragraphs(text: str) -> str:
    return _plain("\n\n".join(" ".join(part.split()) for part in text.split("\n\n")))


def _public(name: str) -> Iterator[str]:
    """A function or class of the package, from its source: importing it could import torch."""
    node = _definition(name, f"restain.{restain._HOMES[name]}")
    yield f"## {name}\n"
    yield f"```python\n{_signature(node)}\n```\n"
    yield from _docstring(ast.get_docstring(node) or "")


def _definition(name: str, module: str) -> ast.FunctionDef | ast.ClassDef:
    """Where a name is defined, through the modules that pass it on."""
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and node.module and name in [alias.name for alias in node.names]:
            return _definition(name, node.module)
    raise LookupError(f"{module} has no {name}")


def _signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    """How a function is called, with a line for each argument; of a class, its fields."""
    if isinstance(node, ast.ClassDef):
        fields = [ast.unparse(item) for item in node.body if isinstance(item, ast.AnnAssign)]
        return "\n    ".join([f"class {node.name}:" if fields else f"class {node.name}", *fields])
    given, named = node.args, node.args.kwonlyargs
    words = [*given.args, *(["*"] if named else []), *named]
    values = [None] * (len(given.args) - len(given.defaults)) + given.defaults
    values += ([None] if named else []) + given.kw_defaults
    lines = [
        (word if isinstance(word, str) else ast.unparse(word)) + (f" = {ast.unparse(value)}" if value else "")
        for word, value in zip(words, values, strict=True)
    ]
    inner = "".join(f"\n    {line}," for line in lines) + "\n" if lines else ""
    return f"{node.name}({inner}) -> {ast.unparse(node.returns) if node.returns else None}"


def _docstring(text: str) -> Iterator[str]:
    """Paragraphs, and the sections of arguments, results and errors as lists."""
    for part in text.split("\n\n"):
        head, _, body = part.partition("\n")
        if head in ("Args:", "Returns:", "Raises:", "Attributes:"):
            yield f"**{head.rstrip(':')}**\n"
            entries = re.split(r"\n(?!\s)", textwrap.dedent(body))
            yield from (f"- {_entry(' '.join(entry.split()))}" for entry in entries)
            yield ""
        else:
            yield f"{_marked(' '.join(part.split()))}\n"


def _entry(text: str) -> str:
    """A line of a list; the name before the colon as code."""
    name, colon, rest = text.partition(": ")
    return f"{_code(name)}: {_marked(rest)}" if colon and re.fullmatch(r"\*{0,2}[\w, ]+", name) else _marked(text)


def _marked(text: str) -> str:
    """The text with what stands between double grave accents as code."""
    parts = text.split("``")
    return "".join(_code(part) if index % 2 else _plain(part) for index, part in enumerate(parts))


def _shipped() -> Iterator[str]:
    yield "## Recipes that ship with restain\n"
    rows = []
    for name in recipe_names():
        recipe = load_recipe(name)
        rows.append((_code(name), _code(recipe.method.name), _code(recipe.generator.kind), _plain(recipe.about)))
    yield from _table(("recipe", "method", "generator", "what it is"), rows)


def _common() -> Iterator[str]:
    """The sections that every method shares."""
    schema = Recipe.model_json_schema()
    yield "## Fields of every recipe\n"
    scalars = {name: field for name, field in schema["properties"].items() if not _sections(field, schema)}
    yield from _fields(scalars, schema, set(schema["required"]))
    for name, field in schema["properties"].items():
        if name != "method":
            yield from _section(name, field, schema, level=2)


def _methods(schema: Mapping[str, Any]) -> Iterator[str]:
    """The sections that each method alone has."""
    shared = set(Recipe.model_fields) | {"extends", "method"}
    for variant in schema["anyOf"]:
        yield f"## method: {variant['title']}\n"
        yield f"{_plain(variant['properties']['method']['description'])}\n"
        own = {name: field for name, field in variant["properties"].items() if name not in shared}
        plain = {name: field for name, field in own.items() if not _sections(field, schema)}
        if plain:
            yield from _fields(plain, schema, set())
        for name, field in own.items():
            yield from _section(name, field, schema, level=3)


def _section(name: str, field: Mapping[str, Any], schema: Mapping[str, Any], *, level: int) -> Iterator[str]:
    """The fields of one section; one table for each kind where the section has several."""
    kinds = _sections(field, schema)
    for kind in kinds:
        constant = kind["properties"].get("kind", {}).get("const")
        yield f"{'#' * level} {name}{f', kind: {constant}' if constant else ''}\n"
        yield f"{_paragraphs(kind.get('description', ''))}\n"
        default = {} if constant else field.get("default", {})
        inner = {key: value for key, value in kind["properties"].items() if "const" not in value}
        yield from _fields(inner, schema, set(kind.get("required", ())), default)
        for key, value in inner.items():
            yield from _section(f"{name}.{key}", value, schema, level=level + 1)


def _fields(
    fields: Mapping[str, Any], schema: Mapping[str, Any], required: set[str], default: Mapping[str, Any] | None = None
) -> Iterator[str]:
    rows = []
    for name, field in fields.items():
        value = (default or {}).get(name, field.get("default"))
        kept = "required" if name in required else "see below" if _sections(field, schema) else _value(value)
        rows.append((_code(name), _plain(_type(field)), _plain(kept), _plain(field.get("description", ""))))
    yield from _table(("field", "type and range", "default", "meaning"), rows)


def _sections(field: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The models that a field holds: none for a plain value, several where it has kinds."""
    options = [field, *field.get("oneOf", ()), *field.get("anyOf", ())]
    names = [str(option["$ref"]).rpartition("/")[2] for option in options if "$ref" in option]
    return [schema["$defs"][name] for name in names]


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field or "oneOf" in field:
        return "section"
    if "anyOf" in field:
        return " or ".join("none" if option.get("type") == "null" else _type(option) for option in field["anyOf"])
    if "enum" in field:
        return " or ".join(dict.fromkeys(str(value) for value in field["enum"]))
    if "const" in field:
        return str(field["const"])
    if field["type"] == "array":
        return f"{len(field['prefixItems'])} values" if "prefixItems" in field else f"list of {_type(field['items'])}"
    name = {"boolean": "true or false", "integer": "whole number", "number": "number", "string": "text"}[field["type"]]
    limits = [f"{sign} {_value(field[key])}" for key, sign in (_ABOVE | _BELOW).items() if key in field]
    return ", ".join([name, *limits])


def _value(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _family(family: str) -> Iterator[str]:
    yield f"## {family}\n"
    for metric in CATALOGUE:
        if metric.family == family:
            yield from _metric(metric)


def _metric(metric: Metric) -> Iterator[str]:
    arrow = f" {_DIRECTION[metric.direction]}".rstrip()
    yield f"### {metric.name}{arrow} {{ #{metric.name} }}\n"
    kind = "mean over images" if metric.level == "image" else "one value of the set"
    scale = f"{metric.range} {metric.unit}".rstrip()
    yield f"{_plain(metric.definition)}\n"
    yield f"- Range: {_plain(scale)}; {kind}"
    yield f"- Source: {_plain(metric.source)}"
    yield f"- Weakness: {_plain(metric.weakness)}\n"
