"""Whether a value fits a JSON schema: the keywords that tools are described with, and no library for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_DEEPEST = 40
"""Schemas may point to themselves; what is deeper is not looked at."""


def fault(value: Any, schema: Any) -> str | None:
    """Say what about a value does not fit a schema (JSON Schema 2020-12).

    Looked at are `type`, `enum`, `const`, `required`, `properties`, `additionalProperties`, `items`, `anyOf`, `oneOf`
    (as `anyOf`), `allOf`, `$ref` within the schema, and the bounds of numbers, texts, lists and objects. Not looked at
    are `pattern` (a regular expression of somebody else's), `format`, `not`, `if`, `patternProperties`,
    `uniqueItems`, `multipleOf` and the rarer ones. So what is faulted does not fit, and what is not, mostly does.

    Args:
        value: Plain data, as JSON holds it.
        schema: The schema.

    Returns:
        The first fault, with names of the schema and nothing of the value; None where there is none.

    Example:
        >>> fault({"row": "9"}, {"type": "object", "properties": {"row": {"type": "integer"}}})
        'row is not of type integer'
    """
    return _fault(value, schema, _Place("it", schema, 0))


class _Place:
    """Where in a value one is, under which schema as a whole, and how deep."""

    __slots__ = ("depth", "path", "root")

    def __init__(self, path: str, root: Any, depth: int) -> None:
        self.path = path
        self.root = root
        self.depth = depth

    def inside(self, name: str = "") -> _Place:
        """Go one deeper, perhaps to a part of the value."""
        path = self.path if not name else name if self.path == "it" else f"{self.path}.{name}"
        return _Place(path, self.root, self.depth + 1)


def _fault(value: Any, schema: Any, place: _Place) -> str | None:
    if schema is False:
        return f"{place.path} may not be there"
    if not isinstance(schema, Mapping) or place.depth > _DEEPEST:
        return None
    simple = (rule(value, schema[key]) for key, rule in _RULES.items() if key in schema)
    said = next((why for why in simple if why is not None), None)
    if said is not None:
        return f"{place.path} {said}"
    structural = (rule(value, schema, place) for rule in _STRUCTURE)
    return next((why for why in structural if why is not None), None)


def _type(value: Any, given: Any) -> str | None:
    names = [given] if isinstance(given, str) else given
    if any(_IS.get(name, _anything)(value) for name in names):
        return None
    return f"is not of type {' or '.join(names)}"


def _anything(value: Any) -> bool:
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_IS: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _number,
    "integer": lambda value: _number(value) and value == value // 1,
}


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON has it, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _bound(holds: Callable[[Any, Any], bool], what: str, of: Callable[[Any], bool]) -> Callable[[Any, Any], str | None]:
    """A bound that counts for values of one kind and says nothing of others."""
    return lambda value, given: None if not of(value) or holds(value, given) else f"{what} {given}"


_RULES: dict[str, Callable[[Any, Any], str | None]] = {
    "type": _type,
    "enum": lambda value, given: None if any(_same(value, one) for one in given) else "is none of the values allowed",
    "const": lambda value, given: None if _same(value, given) else "is not the value that it has to be",
    "minimum": _bound(lambda value, most: value >= most, "is below", _number),
    "maximum": _bound(lambda value, most: value <= most, "is above", _number),
    "exclusiveMinimum": _bound(lambda value, most: value > most, "is not above", _number),
    "exclusiveMaximum": _bound(lambda value, most: value < most, "is not below", _number),
    "minLength": _bound(lambda value, most: len(value) >= most, "has fewer characters than", _IS["string"]),
    "maxLength": _bound(lambda value, most: len(value) <= most, "has more characters than", _IS["string"]),
    "minItems": _bound(lambda value, most: len(value) >= most, "has fewer items than", _IS["array"]),
    "maxItems": _bound(lambda value, most: len(value) <= most, "has more items than", _IS["array"]),
    "minProperties": _bound(lambda value, most: len(value) >= most, "has fewer properties than", _IS["object"]),
    "maxProperties": _bound(lambda value, most: len(value) <= most, "has more properties than", _IS["object"]),
}
"""Keywords that look at a value alone."""


def _reference(value: Any, schema: Mapping[str, Any], place: _Place) -> str | None:
    pointer = schema.get("$ref")
    if not isinstance(pointer, str) or not pointer.startswith("#"):
        return None
    target: Any = place.root
    for part in filter(None, pointer[1:].split("/")):
        key = part.replace("~1", "/").replace("~0", "~")
        target = target.get(key) if isinstance(target, Mapping) else None
    return _fault(value, target, place.inside())


def _combined(value: Any, schema: Mapping[str, Any], place: _Place) -> str | None:
    for part in schema.get("allOf", ()):
        if (why := _fault(value, part, place.inside())) is not None:
            return why
    for key in ("anyOf", "oneOf"):  # that no second one fits cannot be told where not all is looked at
        parts = schema.get(key)
        if parts and all(_fault(value, part, place.inside()) is not None for part in parts):
            return f"{place.path} fits none of the forms allowed"
    return None


def _required(value: Any, schema: Mapping[str, Any], place: _Place) -> str | None:
    if not isinstance(value, Mapping):
        return None
    missing = next((name for name in schema.get("required", ()) if name not in value), None)
    return None if missing is None else f"{place.inside(missing).path} is missing"


def _properties(value: Any, schema: Mapping[str, Any], place: _Place) -> str | None:
    if not isinstance(value, Mapping):
        return None
    known: Mapping[str, Any] = schema.get("properties") or {}
    for name, part in known.items():
        if name in value and (why := _fault(value[name], part, place.inside(name))) is not None:
            return why
    others = schema.get("additionalProperties", True)
    if others is True or "patternProperties" in schema:
        return None
    for name in value:
        if name not in known and _fault(value[name], others, place.inside("a property that is not named")) is not None:
            return f"{place.path} has a property that is not allowed"
    return None


def _items(value: Any, schema: Mapping[str, Any], place: _Place) -> str | None:
    part = schema.get("items")
    if not isinstance(value, Sequence) or isinstance(value, str) or isinstance(part, list) or "prefixItems" in schema:
        return None
    faults = (_fault(item, part, place.inside("[]")) for item in value)
    return next((why for why in faults if why is not None), None)


_STRUCTURE = (_reference, _combined, _required, _properties, _items)
"""Keywords that look at parts of a value, or at other schemas."""
