"""Records of one shape as a table: each key once instead of once a record, and all of it comes back."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from langchain_agentcost.context.compress.json_text import minified


def columnar(text: str) -> str | None:
    """Write the records in a JSON text as tables.

    A list of objects with the same keys in the same order becomes `{"_cols":[…],"_rows":[[…],…]}`; a list of such lists
    `"_groups"`, an object of such objects `"_items"`. A column that holds objects of one shape is a table in the table:
    `{"key":["a","b"]}` among the columns; `{"key":[["a","b"]]}` where it holds lists of them. Only what gets shorter is
    rewritten. Numbers and strings stay as they are written.

    Args:
        text: Any text.

    Returns:
        The shorter text; None where it is not JSON, has no such records, or could not be brought back exactly.

    Example:
        >>> columnar('[{"name":"tea","pence":450},{"name":"rice","pence":220},{"name":"salt","pence":95}]')
        '{"_cols":["name","pence"],"_rows":[["tea",450],["rice",220],["salt",95]]}'
    """
    text = minified(text) or text
    if any(f'"{name}"' in text for name in ("_cols", *_SHAPES)):
        return None
    ascii_ = "\\u" in text
    try:
        value = _read(text)
        if _written(value, ascii_=ascii_) != text:  # repeated keys, or escapes of another style
            return None
        small = _written(_folded(value), ascii_=ascii_)
    except (ValueError, RecursionError):
        return None
    return small if len(small) < len(text) else None


def expanded(text: str) -> str:
    """Bring back the JSON text that `columnar` was given, without its blanks.

    Args:
        text: What `columnar` made.

    Raises:
        ValueError: If the text is not JSON.

    Example:
        >>> expanded('{"_cols":["name"],"_rows":[["tea"],["rice"]]}')
        '[{"name":"tea"},{"name":"rice"}]'
    """
    return _written(_unfolded(_read(text)), ascii_="\\u" in text)


@dataclass(frozen=True, slots=True)
class _Column:
    key: str
    inner: tuple[_Column, ...] = ()
    many: bool = False

    @property
    def header(self) -> Any:
        """How it stands in `_cols`."""
        if not self.inner:
            return self.key
        headers = [column.header for column in self.inner]
        return {self.key: [headers] if self.many else headers}

    @property
    def characters(self) -> int:
        """What its keys take in one record, at least."""
        below = 0 if self.many else sum([column.characters for column in self.inner])
        return len(self.key) + 3 + below

    def cell(self, value: Any) -> Any:
        """How a value of it stands in a row."""
        if self.many:
            return [_row(one, self.inner) for one in value]
        return _row(value, self.inner) if self.inner else _folded(value)


_SHAPES = ("_rows", "_groups", "_items")
_FRAME = len('{"_cols":,"_rows":}')


def _folded(value: Any) -> Any:
    """A value with its tables written as tables."""
    if type(value) is list:
        return _table(value) or [_folded(one) for one in value]
    if type(value) is dict:
        return _items(value) or {key: _folded(one) for key, one in value.items()}
    return value


def _table(values: list[Any]) -> Any:
    if (columns := _columns(values)) and _pays(columns, len(values)):
        return {"_cols": [column.header for column in columns], "_rows": [_row(one, columns) for one in values]}
    if not values or any(type(one) is not list for one in values):
        return None
    records = [record for group in values for record in group]
    if (columns := _columns(records)) and _pays(columns, len(records)):
        groups = [[_row(one, columns) for one in group] for group in values]
        return {"_cols": [column.header for column in columns], "_groups": groups}
    return None


def _items(value: dict[str, Any]) -> Any:
    if (columns := _columns(list(value.values()))) and _pays(columns, len(value)):
        items = {key: _row(one, columns) for key, one in value.items()}
        return {"_cols": [column.header for column in columns], "_items": items}
    return None


def _pays(columns: tuple[_Column, ...], records: int) -> bool:
    return (records - 1) * sum([column.characters for column in columns]) > _FRAME


def _columns(records: list[Any]) -> tuple[_Column, ...]:
    """The columns of records of one shape; none where they are not."""
    if not records or any(type(one) is not dict for one in records):
        return ()
    keys = tuple(records[0])
    if any(tuple(one) != keys for one in records):
        return ()
    return tuple(_column(key, [one[key] for one in records]) for key in keys)


def _column(key: str, values: list[Any]) -> _Column:
    if inner := _columns(values):
        return _Column(key, inner)
    if any(type(one) is not list for one in values):
        return _Column(key)
    return _Column(key, inner := _columns([one for each in values for one in each]), many=bool(inner))


def _row(record: dict[str, Any], columns: tuple[_Column, ...]) -> list[Any]:
    return [column.cell(record[column.key]) for column in columns]


def _unfolded(value: Any) -> Any:
    if type(value) is list:
        return [_unfolded(one) for one in value]
    if type(value) is not dict:
        return value
    headers = value.get("_cols")
    if headers is None:
        return {key: _unfolded(one) for key, one in value.items()}
    if "_rows" in value:
        return [_record(row, headers) for row in value["_rows"]]
    if "_groups" in value:
        return [[_record(row, headers) for row in group] for group in value["_groups"]]
    return {key: _record(row, headers) for key, row in value["_items"].items()}


def _record(row: list[Any], headers: list[Any]) -> dict[str, Any]:
    return dict(_entry(header, cell) for header, cell in zip(headers, row, strict=True))


def _entry(header: Any, cell: Any) -> tuple[str, Any]:
    if isinstance(header, str):
        return header, _unfolded(cell)
    ((key, inner),) = header.items()
    if isinstance(inner[0], list):
        return key, [_record(row, inner[0]) for row in cell]
    return key, _record(cell, inner)


_OPEN, _CLOSE = "\ue000", "\ue001"
_MARKED = re.compile(f'"{_OPEN}([^"]*){_CLOSE}"')
_MARKED_ASCII = re.compile(r'"\\ue000([^"\\]*)\\ue001"')


def _read(text: str) -> Any:
    """A JSON value whose fractions are marked texts: 1.10 as a float would come back as 1.1."""
    if _OPEN in text or "\\ue000" in text:
        raise ValueError("The text has the characters that mark numbers here.")
    return json.loads(text, parse_float=_marked, parse_constant=_marked)


def _marked(number: str) -> str:
    return f"{_OPEN}{number}{_CLOSE}"


def _written(value: Any, *, ascii_: bool) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=ascii_)
    return (_MARKED_ASCII if ascii_ else _MARKED).sub(r"\1", text)
