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
    return _json(_plain(value, 0))


def _json(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is float or (kind is str and _is_text(value)):
        return value
    if kind is int and value.bit_length() <= _MOST_BITS:
        return value
    if depth > MAX_DEPTH:
        raise Unkeyable(f"It is nested deeper than {MAX_DEPTH} levels, or holds itself.")
    if kind is list:
        return [_plain(item, depth + 1) for item in value]
    if kind is dict and all(type(key) is str and key[:1] != "!" and _is_text(key) for key in value):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    plain = {f"!{_kind(value)}": _written(value, depth + 1)}
    state = _state(value)
    return plain if state is None else {**plain, "!state": _plain(state, depth + 1)}


_MOST_BITS = 4096
"""Python refuses to write longer whole numbers in decimal."""


def _is_text(value: str) -> bool:
    """Whether JSON can tell it from other texts: two halves of a surrogate pair look like the character they make."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _written(value: Any, depth: int) -> Any:
    for kinds, parts in _FORMS:
        if isinstance(value, kinds):
            return _plain(parts(value), depth)
    if isinstance(value, Mapping):
        pairs = [[_plain(key, depth + 1), _plain(item, depth + 1)] for key, item in value.items()]
        return sorted(pairs, key=lambda pair: _json(pair[0]))
    if isinstance(value, Set):
        return sorted((_plain(item, depth + 1) for item in value), key=_json)
    return _plain(_parts(value), depth)


def _state(value: Any) -> Any:
    """What a subclass of a built-in type, or of an array, holds besides: an amount's currency, a quantity's unit."""
    built_in = isinstance(value, _BUILT_IN) or hasattr(value, "tobytes")
    if not built_in or isinstance(value, Enum) or type(value).__module__.partition(".")[0] in _WHOLE:
        return None
    return object.__getstate__(value) or None


_BUILT_IN = (str, int, float, bytes, bytearray, list, tuple, dict, set, frozenset)

_WHOLE = ("builtins", "array", "numpy", "PIL")
"""Of what these define, the forms below have everything."""


def _parts(value: Any) -> Any:
    """What an object is made of, where it is a value."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in fields(value)}
    if callable(getattr(value, "tobytes", None)) and not isinstance(value, type):
        return _buffer(value)
    raise Unkeyable(
        f"A {_kind(value)} has no value that could be compared. Leave it out of what the cache looks at, or turn it "
        "into text or numbers first."
    )


def _buffer(value: Any) -> Any:
    """An array (NumPy, array.array) or an image (Pillow): its bytes, and what they mean."""
    if getattr(getattr(value, "dtype", None), "hasobject", False):  # its bytes are addresses
        return [str(value.dtype), list(value.shape), value.ravel().tolist()]
    described = [str(getattr(value, name, None)) for name in ("dtype", "shape", "typecode", "mode", "size")]
    palette = value.getpalette("RGBA") if getattr(value, "mode", None) in ("P", "PA") else None
    beside = [palette, getattr(value, "info", None), getattr(value, "mask", None)]
    return [*described, *beside, value.tobytes()]


def _letters(value: str) -> Any:
    exact = str.__str__(value)
    return exact if _is_text(exact) else [exact.encode("utf-8", "surrogatepass").hex()]


def _digits(value: int) -> Any:
    exact = int.__int__(value)
    return exact if exact.bit_length() <= _MOST_BITS else [hex(exact)]


def _instant(value: datetime | time) -> Any:
    """With its zone by name: two zones may have the same offset today."""
    return [value.isoformat(), value.fold, None if value.tzinfo is None else [_kind(value.tzinfo), str(value.tzinfo)]]


def _model(value: BaseModel) -> Any:
    """Not by iterating: a model may do something else then."""
    held = {name: value.__dict__.get(name) for name in type(value).model_fields}
    return [held, value.__pydantic_extra__ or None, value.__pydantic_private__ or None]


_FORMS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Any]], ...] = (
    (Enum, lambda value: value.name if value.name is not None else value.value),
    (BaseException, lambda value: list(value.args)),
    (str, _letters),
    (int, _digits),
    (float, float.__float__),
    ((bytes, bytearray), lambda value: sha256(value).hexdigest()),
    (memoryview, lambda value: [value.format, value.shape, value.tobytes()]),
    ((datetime, time), _instant),
    (date, date.isoformat),
    (timedelta, repr),
    ((Decimal, UUID, PurePath), str),
    (BaseModel, _model),
    ((list, tuple), list),
)
"""How a value is written, by its type; the first row that fits counts."""
