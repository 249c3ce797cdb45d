"""YAML read with limits: nothing in a file can make it grow, and nothing in it is dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from restain.errors import RestainError, quoted

LIMIT = 256 * 1024  # bytes of a file; the longest recipe that ships has 2 KB
_DEEPEST = 20  # levels of nesting
_ALIASES = 16  # that many, each once inside another, can hardly multiply a file
_LONGEST_NUMBER = 64  # characters


class _Loader(yaml.SafeLoader):
    """Plain values only, each key once, no number of absurd length."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See PyYAML; raises ``ConstructorError`` for a key that stands twice."""
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {quoted(key.value)} is there twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_number(self, node: yaml.ScalarNode) -> int | float:
        """An int or a float as PyYAML reads it; raises ``ConstructorError`` where it has too many characters."""
        if len(str(node.value)) > _LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(
                None, None, f"there is a number of {len(node.value)} characters", node.start_mark
            )
        is_int = node.tag.endswith(":int")
        number: int | float = self.construct_yaml_int(node) if is_int else self.construct_yaml_float(node)
        return number


for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


def load_yaml(content: bytes | str, name: str) -> Any:
    """The value of one YAML document; ``name`` is what messages call it.

    Raises:
        RestainError: the text is larger than ``LIMIT``, is no YAML, nests more than 20 levels, has more than 16
            aliases or one inside its own anchor, gives a key twice, or holds a number that is none.
    """
    if len(content) > LIMIT:
        raise RestainError(f"{name}: has {len(content) / 1024:.0f} KB of YAML; expected at most {LIMIT // 1024} KB")
    try:
        for fault in _faults(content):
            raise RestainError(f"{name}: {fault}")
        return yaml.load(content, Loader=_Loader)
    except RestainError:
        raise
    except Exception as error:  # bytes that are no text, a date that is none, a tag that does not fit its value
        raise RestainError(f"{name}: not valid YAML ({_in_one_line(error)})") from None


def _faults(content: bytes | str) -> Iterator[str]:
    """What would make the document grow, found before anything is built."""
    depth = aliases = 0
    anchors: list[str | None] = []  # of the collections that are open
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            anchors.append(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchors.pop()
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
            if event.anchor in anchors:
                yield f"the alias *{event.anchor} in {_line(event)} stands inside its own anchor; expected plain values"
        if depth > _DEEPEST:
            yield f"nests deeper than {_DEEPEST} levels in {_line(event)}; expected sections with fields"
        if aliases > _ALIASES:
            yield f"has more than {_ALIASES} aliases, in {_line(event)}; expected plain values"


def _line(event: yaml.Event) -> str:
    return f"line {event.start_mark.line + 1}" if event.start_mark else "the text"


def _in_one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    return " ".join(str(error).split())[:200]
