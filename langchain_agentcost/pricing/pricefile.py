"""Reading a price file so that every fault has a place: the file, the line and the key."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from langchain_agentcost.errors import PriceFileError
from langchain_agentcost.pricing.where import line_of

MAX_USD = Decimal(1_000_000)
"""A rate or fee above this is a typing error: no model costs a dollar a token."""


@dataclass(frozen=True, slots=True)
class Document:
    """The text that a table comes from, for its line numbers.

    Args:
        name: What to call it in an error: the file's path, or "the price mapping".
        text: The text; empty for a mapping.
    """

    name: str
    text: str = ""

    def fail(self, path: Sequence[str | int], problem: str) -> NoReturn:
        """Raise the error for a place in this document.

        Raises:
            PriceFileError: Always.
        """
        line = line_of(self.text, path) if self.text else None
        key = "".join(f"[{piece}]" if isinstance(piece, int) else f".{piece}" for piece in path).lstrip(".")
        place = ", ".join(part for part in (self.name, f"line {line}" if line else "", key[:120]) if part)
        raise PriceFileError(f"{place}: {problem}")


@dataclass(slots=True)
class Table:
    """A mapping of a price file. Keys that nobody asked for are refused by `close`.

    Args:
        values: The mapping.
        document: Where it comes from.
        path: The keys and positions that lead to it.
    """

    values: Mapping[str, Any]
    document: Document
    path: tuple[str | int, ...] = ()
    _asked: set[str] = field(default_factory=set)

    def fail(self, key: str, problem: str) -> NoReturn:
        """Raise the error for one of this table's keys."""
        self.document.fail((*self.path, key) if key else self.path, problem)

    def get(self, key: str) -> Any:
        """Give a raw value, or None where the key is absent."""
        self._asked.add(key)
        return self.values.get(key)

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Give a text that is not empty."""
        value = self.get(key)
        if value is None:
            return self.fail(key, "is missing; state it.") if required else None
        if not isinstance(value, str) or not value.strip():
            self.fail(key, f"must be a text, got {_shown(value)}.")
        return value.strip()

    def usd(self, key: str) -> Decimal | None:
        """Give an amount of 0 to a million USD."""
        return self.number(key, at_most=MAX_USD, unit="USD")

    def number(
        self, key: str, *, at_most: Decimal, unit: str, positive: bool = False, required: bool = False
    ) -> Decimal | None:
        """Give a number between 0 and a bound, exactly as it was written."""
        value = self.get(key)
        if value is None:
            return self.fail(key, f"is missing; state it in {unit}.") if required else None
        number = _decimal(value)
        if number is None or not number.is_finite():
            self.fail(key, f"must be a number in {unit}, such as 0.28, got {_shown(value)}.")
        if number < 0 or (positive and not number):
            self.fail(key, f"must be {'above' if positive else 'at least'} 0 {unit}, got {_shown(value)}.")
        if number > at_most:
            self.fail(key, f"must be at most {at_most} {unit}, got {_shown(value)}; is the unit right?")
        return number

    def whole(self, key: str) -> int | None:
        """Give a whole number of tokens, at least 0."""
        value = self.get(key)
        if value is None:
            return None
        if type(value) is not int or value < 0:
            self.fail(key, f"must be a whole number of tokens, at least 0, got {_shown(value)}.")
        return value

    def day(self, key: str) -> datetime | None:
        """Give the first instant of a date, UTC."""
        value = self.get(key)
        if value is None:
            return None
        try:
            read = datetime.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            read = None
        if isinstance(read, datetime):
            return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
        if isinstance(read, date):
            return datetime.combine(read, time(), UTC)
        return self.fail(key, f"must be a date such as 2026-07-01, got {_shown(value)}.")

    def tables(self, key: str) -> Iterator[Table]:
        """Go through a list of tables."""
        value = self.get(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.fail(key, f"must be a list of tables, such as [[{key}]], got {_shown(value)}.")
        for number, item in enumerate(value):
            yield self._table(item, (key, number))

    def named(self, key: str) -> Iterator[tuple[str, Any, Table]]:
        """Go through a table of named values: the name, the raw value, and the table that holds it."""
        holder = self.table(key)
        if holder is None:
            return
        for name in holder.values:
            if not str(name).strip():
                self.fail(key, "needs names that are not empty.")
            yield name, holder.get(name), holder

    def table(self, key: str) -> Table | None:
        """Give a table inside this one."""
        return None if self.get(key) is None else self.inner(key)

    def inner(self, key: str) -> Table:
        """Give the table that a key must hold."""
        return self._table(self.get(key), (key,))

    def close(self) -> None:
        """Refuse the keys that nobody asked for.

        Raises:
            PriceFileError: If there is one.
        """
        for key in self.values:
            if key not in self._asked:
                close = get_close_matches(str(key)[:60], self._asked, 1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(self._asked))}."
                self.fail(str(key), f"is not a key that is known here; {hint}")

    def _table(self, value: Any, below: tuple[str | int, ...]) -> Table:
        if not isinstance(value, Mapping):
            self.document.fail((*self.path, *below), f"must be a table of keys and values, got {_shown(value)}.")
        return Table(value, self.document, (*self.path, *below))


def read_file(path: Path) -> Table:
    """Read a TOML or JSON price file; numbers stay exactly as they are written.

    Args:
        path: A file whose name ends in .toml or .json.

    Returns:
        Its top table.

    Raises:
        PriceFileError: If it cannot be read; the message names the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PriceFileError(f"{path}: cannot be read: {error}. Give the path of a TOML or JSON file.") from error
    document = Document(str(path), text)
    if path.suffix.lower() not in (".toml", ".json"):
        document.fail((), "is neither a .toml nor a .json file; name it after what it contains.")
    values = _parsed_json(document) if path.suffix.lower() == ".json" else _parsed_toml(document)
    if not isinstance(values, dict):
        document.fail((), f"must hold one table of keys and values, got {_shown(values)}.")
    return Table(values, document)


def read_toml(text: str, *, name: str = "the price text") -> Table:
    """Read TOML text."""
    document = Document(name, text)
    return Table(_parsed_toml(document), document)


def _parsed_toml(document: Document) -> dict[str, Any]:
    try:
        return tomllib.loads(document.text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, InvalidOperation, RecursionError) as error:
        raise PriceFileError(f"{document.name}: is not TOML: {error}. Correct it there.") from error


def _parsed_json(document: Document) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for key in keys if keys.count(key) > 1), None) if len(set(keys)) < len(keys) else None
        if twice is not None:
            document.fail((twice,), "is stated twice in one object; keep one of them.")
        return dict(pairs)

    try:
        return json.loads(document.text, parse_float=Decimal, object_pairs_hook=unique)
    except (json.JSONDecodeError, InvalidOperation, RecursionError) as error:
        raise PriceFileError(f"{document.name}: is not JSON: {error}. Correct it there.") from error


def _decimal(value: object) -> Decimal | None:
    """A number as it was written; None for everything else, bool included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        # repr gives a float back as its author typed it; Decimal(0.1) would not.
        return Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation:
        return None


def _shown(value: object) -> str:
    shown = repr(str(value) if isinstance(value, Decimal | date) else value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
