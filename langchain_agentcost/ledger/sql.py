"""A checked `Query` as SQL: names come from tables in this file, values are always bound.

Entries and sums per day are grouped by the numbers of their labels, and the few numbers that come out are turned into
labels afterwards: that spares SQLite a join and a sort of wide rows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from langchain_agentcost.ledger.entry import KINDS, STATUSES
from langchain_agentcost.ledger.fold import COMMON, RARE
from langchain_agentcost.ledger.query import DAY_US, HOUR_US, Query, Value, day_name, hour_name
from langchain_agentcost.ledger.rows import KIND_NUMBERS, LABELS, STATUS_NUMBERS, packed, unpacked
from langchain_agentcost.ledger.schema import COMMON_SUMS, PERSON, RARE_SUMS, RARE_TABLES

Bound = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a column stands, and how its values are written and read.

    Args:
        sql: The expression: over `entry e` or, where there is a `label`, over the label's tables.
        label: What an entry holds the number of.
        place: Where that number stands; `e.LABEL` unless stated.
        write: From a value to what SQLite holds.
        read: Back.
    """

    sql: str
    label: str = ""
    place: str = ""
    write: Callable[[Any], object] = lambda value: value
    read: Callable[[Any], Value] = lambda value: value


_LABEL_TABLES = {
    "attribution": "attribution l",
    "run": "(SELECT run.id, user, session, run FROM run JOIN person ON person.id = run.person) l",
    "person": "person l",
    "detail": "detail l",
}

_COLUMNS: dict[str, _Column] = {
    **{name: _Column(f"l.{name}", "attribution") for name in LABELS},
    "user": _Column("l.user", "run"),
    "session": _Column("l.session", "run", write=packed, read=unpacked),
    "run": _Column("l.run", "run", write=packed, read=unpacked),
    "step": _Column("e.step"),
    "attempt": _Column("e.attempt"),
    "kind": _Column("e.kind", write=lambda kind: KIND_NUMBERS.get(kind, -1), read=KINDS.__getitem__),
    "status": _Column("e.status", write=lambda status: STATUS_NUMBERS.get(status, -1), read=STATUSES.__getitem__),
    "id": _Column("e.id", write=packed),
    "parent_id": _Column("e.parent", write=packed),
    "name": _Column("l.name", "detail"),
    "day": _Column(f"e.at / {DAY_US}", read=day_name),
    "hour": _Column(f"e.at / {HOUR_US}", read=hour_name),
}
"""Every column that a question may name, beside `tag:NAME`."""

_NOTHING = "x''"
"""A value that nothing has: over an empty list, SQLite's `NULL IN ()` would be false instead of NULL."""

_ROLLED = {"user": _Column("l.user", "person"), "day": _Column("e.day", read=day_name)}
"""Columns that stand elsewhere in the sums per day."""

_GROUPED = {"user": _Column("l.user", "person", PERSON)}
"""Columns that entries are grouped by in another way than they are filtered on: there are fewer persons than runs."""

_TAG = _Column("tag_of(l.tags, ?)", "attribution")


def tag_of(tags: str | None, name: str) -> str | None:
    """The value of a tag, as a function of SQL: SQLite's own JSON functions cut text at a NUL.

    Example:
        >>> tag_of('[["team", "blue"]]', "team")
        'blue'
    """
    return next((value for tag, value in json.loads(tags or "[]") if tag == name), None)


@dataclass(frozen=True)
class Select:
    """Statements that answer a question from the entries, or from the sums per day, and what is bound to them."""

    query: Query
    rolled: bool = False

    def seqs(self, last: int, after: tuple[int, int], limit: int) -> tuple[str, Bound]:
        """The instants and sequence numbers that match, in order, from a place on."""
        condition, bound = self._condition
        within = "e.seq <= ? AND e.at >= ? AND e.at < ? AND (e.at, e.seq) > (?, ?)"
        since, until = self.query.since_us or 0, 2**62 if self.query.until_us is None else self.query.until_us
        statement = f"SELECT e.at, e.seq FROM entry e WHERE {condition} AND {within} ORDER BY e.at, e.seq LIMIT ?"  # noqa: S608  # names from _COLUMNS
        return statement, (*bound, last, since, until, *after, limit)

    def common(self, span: str, spanned: Bound) -> tuple[str, Bound]:
        """The common measures by group, kind and status."""
        tables, sums = (f"{self._whose}rollup e", _sums(COMMON)) if self.rolled else ("entry e", COMMON_SUMS)
        return self._grouped(sums, tables, span, spanned)

    def rare(self, span: str, spanned: Bound) -> tuple[str, Bound]:
        """The rare measures by group, kind and status."""
        tables, sums = (f"{self._whose}rare e", _sums(RARE)) if self.rolled else (RARE_TABLES, RARE_SUMS)
        return self._grouped(sums, tables, span, spanned)

    def latencies(self, span: str, spanned: Bound) -> tuple[str, Bound]:
        """The buckets that durations of model calls fell into, as `counted` reads them, by group, kind and status."""
        if self.rolled:
            return self._selected("e.buckets", "latency e", span, spanned)
        return self._grouped("group_concat(e.bucket)", "entry e", f"e.bucket IS NOT NULL AND {span}", spanned)

    def keys(self, connection: sqlite3.Connection) -> Callable[[tuple[Any, ...]], tuple[Value, ...]]:
        """Give the function that reads a group's key from the first columns of a row."""
        places = self._places
        parts = [(places.index(self._place(name)), self._reading(connection, name)) for name in self.query.by]
        return lambda row: tuple(read(row[place]) for place, read in parts)

    @property
    def width(self) -> int:
        """How many columns of a row the key is read from."""
        return len(self._places)

    @cached_property
    def _places(self) -> list[str]:
        return list(dict.fromkeys(self._place(name) for name in self.query.by))

    @property
    def _whose(self) -> str:
        return "person_" if self.query.sums == "who" else ""

    def _grouped(self, sums: str, tables: str, span: str, spanned: Bound) -> tuple[str, Bound]:
        statement, bound = self._selected(sums, tables, span, spanned)
        groups = ", ".join(str(place + 1) for place in range(self.width + 2))
        return f"{statement} GROUP BY {groups}", bound

    def _selected(self, values: str, tables: str, span: str, spanned: Bound) -> tuple[str, Bound]:
        condition, bound = self._condition
        columns = ", ".join([*self._places, "e.kind", "e.status", values])
        return f"SELECT {columns} FROM {tables} WHERE {condition} AND {span}", (*bound, *spanned)  # noqa: S608  # names from _COLUMNS

    @cached_property
    def _condition(self) -> tuple[str, Bound]:
        conditions = ["1"]
        bound: list[object] = []
        for name, values in self.query.conditions:
            column = self._column(name)
            stated = [column.write(value) for value in values if value is not None]
            test = f"ifnull({column.sql} IN ({', '.join([_NOTHING, *'?' * len(stated)])}), {int(None in values)})"
            if column.label:
                test = f"e.{column.label} IN (SELECT l.id FROM {_LABEL_TABLES[column.label]} WHERE {test})"  # noqa: S608  # same
            conditions.append(test)
            bound += [*_tag_name(name), *stated]
        return " AND ".join(conditions), tuple(bound)

    def _place(self, name: str) -> str:
        column = self._grouping(name)
        return column.place or (f"e.{column.label}" if column.label else column.sql)

    def _reading(self, connection: sqlite3.Connection, name: str) -> Callable[[Any], Value]:
        column = self._grouping(name)
        if not column.label:
            return column.read
        select = f"SELECT l.id, {column.sql} FROM {_LABEL_TABLES[column.label]}"  # noqa: S608  # names from _COLUMNS
        rows = connection.execute(select, _tag_name(name))
        labels: Mapping[int, Value] = {number: column.read(value) for number, value in rows}
        return labels.__getitem__

    def _grouping(self, name: str) -> _Column:
        return (not self.rolled and _GROUPED.get(name)) or self._column(name)

    def _column(self, name: str) -> _Column:
        if name.startswith("tag:"):
            return _TAG
        return (self.rolled and _ROLLED.get(name)) or _COLUMNS[name]


def _sums(names: tuple[str, ...]) -> str:
    return ", ".join(f"sum(e.{name})" for name in names)


def _tag_name(name: str) -> tuple[str, ...]:
    return (name[4:],) if name.startswith("tag:") else ()
