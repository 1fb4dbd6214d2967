"""A value in a form that can be hashed: only what a tool or a model cannot tell apart has the same form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from langchain_agentcost.errors import Unkeyable

MAX_DEPTH = 60
"""Deeper than this nothing is looked at: what holds itself has no end."""


def plain_json(value: Any) -> str:
    """Write a value as JSON so that different values are written differently, and equal ones equally.

    Numbers keep their type (1, 1.0 and true differ), arrays and images go in with every byte of theirs, and whatever
    JSON has no form for is written with its type.

    Args:
        value: Any value.

    Returns:
        JSON with sorted keys, ASCII only.

    Raises:
        Unkeyable: If it holds an object that has no value of its own, such as a client or a function.

    Example:
        >>> plain_json({"b": (1, 1.0), "a": None})
        '{"a":null,"b":{"!tuple":[1,1.0]}}'
    """
    return json.dumps(_plain(value, 0), sort_keys=True, separators=(",", ":"))


def _plain(value: Any, depth: int) -> Any:
    if value is None or type(value) in (str, bool, int, float):
        return value
    if depth > MAX_DEPTH:
        raise Unkeyable(f"It is nested deeper than {MAX_DEPTH} levels, or holds itself.")
    if type(value) is list:
        return [_plain(item, depth + 1) for item in value]
    if type(value) is dict and all(type(key) is str and not key.startswith("!") for key in value):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    for kinds, written in _FORMS:
        if isinstance(value, kinds):
            return {f"!{_kind(value)}": _plain(written(value), depth + 1)}
    return {f"!{_kind(value)}": _plain(_parts(value), depth + 1)}


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _parts(value: Any) -> Any:
    """What an object is made of, where it is a value."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if callable(bytes_of := getattr(value, "tobytes", None)):  # arrays (NumPy, array.array) and images (Pillow)
        if str(getattr(value, "dtype", "")) == "object":
            return [list(value.shape), value.ravel().tolist()]
        described = [str(getattr(value, name, None)) for name in ("dtype", "shape", "typecode", "mode", "size", "info")]
        return [*described, sha256(bytes_of()).hexdigest()]
    raise Unkeyable(
        f"A {_kind(value)} has no value that could be compared. Leave it out of what the cache looks at, or turn it "
        "into text or numbers first."
    )


def _pairs(value: Mapping[Any, Any]) -> list[list[Any]]:
    """A mapping whose keys are not plain strings, in an order of its own."""
    return sorted(([key, item] for key, item in value.items()), key=lambda pair: plain_json(pair[0]))


_FORMS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.name),
    (str, str.__str__),
    (bool, bool),
    (int, int),
    (float, float),
    ((bytes, bytearray, memoryview), lambda value: sha256(bytes(value)).hexdigest()),
    ((datetime, date, time), lambda value: [value.isoformat(), getattr(value, "fold", 0)]),
    (timedelta, lambda value: [value.days, value.seconds, value.microseconds]),
    ((Decimal, UUID, PurePath), str),
    (BaseModel, dict),
    (Mapping, _pairs),
    (Set, lambda value: sorted(value, key=plain_json)),
    ((list, tuple), list),
)
"""How a value is written, by its type; the first row that fits counts."""
