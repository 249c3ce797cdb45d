"""Recipes from YAML: by name or from a file, with ``extends`` and overrides, and errors that name the field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from restain.errors import RestainError, meant, quoted, refuse_text
from restain.files import read_bytes
from restain.methods import MethodConfig
from restain.networks.specs import GeneratorSpec
from restain.recipes.recipe import Recipe, dotted
from restain.yaml_text import LIMIT, load_yaml

_LONGEST_CHAIN = 16  # recipes that extend one another
_DEEPEST_FIELD = 8  # sections of a field's name

COMMON = frozenset(Recipe.model_fields)


def _variants(union: Any, tag: str) -> dict[str, type[BaseModel]]:
    """The models of a tagged union by the value of their tag."""
    return {model.model_fields[tag].default: model for model in get_args(get_args(union)[0])}


METHODS = _variants(MethodConfig, "name")
GENERATORS = _variants(GeneratorSpec, "kind")


def recipe_names() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = resources.files("restain") / "recipes"
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe by its name or from a YAML file, apply overrides, and check it.

    Args:
        recipe: a shipped name (see ``recipe_names``) or the path of a YAML file.
        overrides: ``section.field=value`` strings, the value in YAML syntax.

    Raises:
        RestainError: no such recipe, unreadable YAML, an unknown field, or a value that is not allowed.
    """
    refuse_text("overrides", overrides)
    values = _read(recipe, seen=())
    for override in overrides:
        values = _merge(values, _parse_override(override))
    return recipe_of(values, f"recipe {recipe}")


def fields_of(overrides: Sequence[str]) -> list[str]:
    """Dotted names of the fields that overrides set, ``optim={steps: 5}`` being ``optim.steps``.

    Raises:
        RestainError: an override has another form.
    """
    values: dict[str, Any] = {}
    for override in overrides:
        values = _merge(values, _parse_override(override))
    return [field for field, _ in dotted(values)]


def recipe_of(flat: Mapping[str, Any], name: str) -> Recipe:
    """Check flat values, as they stand in YAML; ``name`` is what the message calls them.

    Raises:
        RestainError: naming every field that is not allowed, with the value seen and what was expected.
    """
    common = {key: value for key, value in flat.items() if key in COMMON and key != "method"}
    own = {key: value for key, value in flat.items() if key not in COMMON}
    if "method" not in flat:
        raise RestainError(f"{name}: field method is missing; expected {' or '.join(METHODS)}")
    if not isinstance(flat["method"], str) or flat["method"] not in METHODS:
        raise RestainError(f"{name}: field method is {quoted(flat['method'])}; expected {' or '.join(METHODS)}")
    try:
        return Recipe.model_validate(common | {"method": {"name": flat["method"]} | own})
    except ValidationError as error:
        raise RestainError(f"{name}: " + "; ".join(_explain(error, METHODS[flat["method"]]))) from None


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe file, for editors: every section and field with its description."""
    variants = []
    for name, config in METHODS.items():
        schema = Recipe.model_json_schema(ref_template="#/$defs/{model}")
        own = config.model_json_schema(ref_template="#/$defs/{model}")
        properties = schema["properties"] | own["properties"]
        properties["method"] = {"const": name, "description": config.__doc__}
        del properties["name"]
        properties["name"] = schema["properties"]["name"]
        properties["extends"] = {"type": "string", "description": "a recipe, by name or file, that this one changes"}
        variants.append(
            {
                "title": name,
                "type": "object",
                "properties": properties,
                "additionalProperties": False,
                "$defs": schema["$defs"] | own.get("$defs", {}),
            }
        )
    definitions: dict[str, Any] = {}
    for variant in variants:
        definitions |= variant.pop("$defs")
        # A file that extends another need not say which kind of generator it changes, and then fits several.
        variant["properties"]["generator"] = {"anyOf": variant["properties"]["generator"]["oneOf"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "restain recipe",
        "anyOf": variants,
        "$defs": definitions,
    }


def _read(recipe: str | Path, seen: tuple[str, ...]) -> dict[str, Any]:
    """The flat values of a recipe over those that it extends; ``seen`` holds the files that led here."""
    name = str(recipe)
    if name in recipe_names():
        place, content = name, (resources.files("restain") / "recipes" / f"{name}.yaml").read_bytes()
    else:
        place, content = _read_file(recipe)
    if place in seen or len(seen) == _LONGEST_CHAIN:
        chain = " -> ".join((*seen[seen.index(place) if place in seen else 0 :], place))
        raise RestainError(f"recipe {seen[0]}: extends itself, or more than {_LONGEST_CHAIN} others: {chain}")
    values = load_yaml(content, f"recipe {name}")
    if not isinstance(values, dict):
        raise RestainError(f"recipe {name}: holds {type(values).__name__}; expected fields with values")
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise RestainError(f"recipe {name}: field extends is {quoted(base)}; expected a recipe, by name or file")
    if base not in recipe_names():
        base = str(Path(name).parent / base)  # a file beside the one that names it
    return _merge(_read(base, (*seen, place)), values)


def _read_file(recipe: str | Path) -> tuple[str, bytes]:
    """(where it is whatever its spelling, bytes) of a recipe file."""
    path = Path(recipe)
    try:
        exists = path.exists() or path.is_symlink()
    except (OSError, ValueError):  # a name too long for a file, or with a NUL in it, is no file
        exists = False
    if not exists:
        names = recipe_names()
        near = meant(str(recipe), names)
        raise RestainError(f"no recipe named {recipe} and no such file{near}; recipes: {', '.join(names)}")
    content = read_bytes(path, LIMIT)
    return str(path.resolve()), content


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(merged.get(key), dict)
        # Another kind of network has other fields: nothing of the former one is kept.
        nested = nested and value.get("kind", merged[key].get("kind")) == merged[key].get("kind")
        merged[key] = _merge(merged[key], value) if nested else value
    return merged


def _parse_override(override: str) -> dict[str, Any]:
    field, equals, text = override.partition("=") if isinstance(override, str) else ("", "", "")
    if not equals or not field:
        raise RestainError(f"override {quoted(override)}: expected section.field=value, such as optim.lr=1e-4")
    keys = field.split(".")
    if not all(keys) or len(keys) > _DEEPEST_FIELD:
        raise RestainError(f"override {quoted(override)}: is no field; expected section.field=value")
    value: Any = load_yaml(text, f"override {quoted(override)}")
    for key in reversed(keys):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def _explain(error: ValidationError, config: type[BaseModel]) -> Iterator[str]:
    for problem in error.errors():
        path, holder = _locate([str(part) for part in problem["loc"]], config)
        field, kind = ".".join(path), problem["type"]
        if kind == "extra_forbidden":
            allowed = holder.model_fields if holder else [*Recipe.model_fields, *list(config.model_fields)[1:]]
            yield f"unknown field {field}{meant(path[-1], allowed)}; allowed here: {', '.join(allowed)}"
        elif kind == "missing":
            yield f"field {field} is missing"
        elif kind == "value_error":
            yield problem["msg"].removeprefix("Value error, ")
        elif kind.startswith("union_tag"):
            found = problem["ctx"].get("tag")
            yield f"field {field}.kind is {quoted(found)}; expected {' or '.join(map(repr, GENERATORS))}"
        else:
            message = problem["msg"][0].lower() + problem["msg"][1:]
            yield f"field {field} is {quoted(problem['input'])}; {message}"


def _locate(location: list[str], config: type[BaseModel]) -> tuple[list[str], type[BaseModel] | None]:
    """A pydantic location as a path in YAML, without the tags of unions; and the section, None for the top."""
    if location[:1] == ["method"]:
        location = location[2:]
    if location[:1] == ["generator"]:
        spec = GENERATORS.get(location[1]) if len(location) > 1 else None
        return ["generator", *location[2:]], spec
    holder: Any = None
    fields: Mapping[str, Any] = {**Recipe.model_fields, **config.model_fields}
    for part in location[:-1]:
        holder = fields[part].annotation if part in fields else None
        fields = getattr(holder, "model_fields", {})
    return location, holder if hasattr(holder, "model_fields") else None
