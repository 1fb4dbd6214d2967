"""Where schemas stand inside a JSON schema: everything else in it (defaults, enumerations, examples) is data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
"""Keywords whose value is a mapping of names to schemas."""

LISTED = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
"""Keywords whose value is a list of schemas; `items` was one up to draft 7."""

SINGLE = (
    *("items", "additionalItems", "unevaluatedItems", "contains", "not", "if", "then", "else"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames"),
)
"""Keywords whose value is a schema; it may also be true or false."""

Schema = dict[str, Any]
Visit = Callable[[Mapping[str, Any], str | None], Mapping[str, Any]]
"""Takes a schema and the name of the property that it is of, and gives another schema."""


def mapped(schema: Mapping[str, Any], name: str | None, visit: Visit) -> Schema:
    """Give a schema in which every schema directly inside is replaced.

    Args:
        schema: Any JSON schema.
        name: The name of the property that it describes; None at the top.
        visit: What replaces a schema inside. Items and alternatives have the name of what they are items of.
    """
    made: Schema = dict(schema)
    for key, value in schema.items():
        if key in NAMED and isinstance(value, Mapping):
            made[key] = {own: visit(one, own) if isinstance(one, Mapping) else one for own, one in value.items()}
        elif key in LISTED and isinstance(value, list):
            made[key] = [visit(one, name) if isinstance(one, Mapping) else one for one in value]
        elif key in SINGLE and isinstance(value, Mapping):
            made[key] = visit(value, name)
    return made


def inside(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Give a schema and all schemas in it.

    Example:
        >>> len(list(inside({"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}})))
        4
    """
    yield schema
    for key, value in schema.items():
        parts: list[Any] = []
        if key in NAMED and isinstance(value, Mapping):
            parts = list(value.values())
        elif key in LISTED and isinstance(value, list):
            parts = value
        elif key in SINGLE:
            parts = [value]
        for part in parts:
            if isinstance(part, Mapping):
                yield from inside(part)
