"""What points into a JSON schema from inside it: `$ref`, and whatever else names a place by `#/…`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

DEFINITIONS = ("$defs", "definitions")
"""Keywords that hold what is only there to be referred to."""

_OWN_NAMES = frozenset({"$id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"})
"""Keywords by which a place is found in another way than by its path."""


def definitions(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Give the definitions of a schema, each with the reference to it."""
    for key in DEFINITIONS:
        held = schema.get(key)
        if isinstance(held, Mapping):
            yield from ((f"#/{key}/{name}", one) for name, one in held.items())


def pointers(schema: object) -> Iterator[str]:
    """Give every text that names a place by its path, whatever keyword it stands under.

    Example:
        >>> list(pointers({"discriminator": {"mapping": {"cat": "#/$defs/Cat"}}, "const": "a"}))
        ['#/$defs/Cat']
    """
    for one in _values(schema):
        if isinstance(one, str) and "#/" in one:
            yield one[one.index("#/") :]


def leads_to(pointer: str, ref: str) -> bool:
    """Tell whether a pointer names a place or a part of it, however it is escaped.

    Example:
        >>> leads_to("#/$defs/A/properties/x", "#/$defs/A"), leads_to("#/$defs/AB", "#/$defs/A")
        (True, False)
    """
    plain = unquote(pointer).replace("~1", "/").replace("~0", "~")
    return any(one == ref or one.startswith(f"{ref}/") for one in (pointer, plain))


def points_into(schema: Mapping[str, Any]) -> bool:
    """Tell whether anything is found by a path that ends elsewhere than at a definition, or by a name of its own.

    Such a path would lead nowhere, or elsewhere, were schemas written in another place.
    """
    whole = {ref for ref, _ in definitions(schema)}
    named = any(isinstance(one, Mapping) and _OWN_NAMES & one.keys() for one in _values(schema))
    return named or any(pointer not in whole for pointer in pointers(schema))


def _values(value: object) -> Iterator[object]:
    """A JSON value and all values in it."""
    yield value
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _values(one)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for one in value:
            yield from _values(one)
