"""A checked `Query` as SQL: names come from tables in this file, values are always bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_agentcost.ledger.fold import MEASURES
from langchain_agentcost.ledger.query import DAY_US, HOUR_US, Query, Value, day_name, hour_name
from langchain_agentcost.ledger.rows import KIND_NUMBERS, KINDS, LABELS, STATUS_NUMBERS, STATUSES, packed, unpacked
from langchain_agentcost.ledger.schema import RAW_SUMS, RAW_TABLES

Bound = tuple[object, ...]

_ATTRIBUTION = "JOIN attribution a ON a.id = e.attribution"
_RUN = "JOIN run r ON r.id = e.run"
_DETAIL = "JOIN detail d ON d.id = e.detail"


@dataclass(frozen=True, slots=True)
class _Column:
    """Where a column stands, and how its values are written and read."""

    sql: str
    join: str = ""
    write: Callable[[Any], object] = lambda value: value
    read: Callable[[Any], Value] = lambda value: value


_COLUMNS: dict[str, _Column] = {
    **{name: _Column(f"a.{name}", _ATTRIBUTION) for name in LABELS},
    "session": _Column("r.session", _RUN, packed, unpacked),
    "run": _Column("r.run", _RUN, packed, unpacked),
    "step": _Column("e.step"),
    "attempt": _Column("e.attempt"),
    "kind": _Column("e.kind", "", lambda kind: KIND_NUMBERS.get(kind, -1), KINDS.__getitem__),
    "status": _Column("e.status", "", lambda status: STATUS_NUMBERS.get(status, -1), STATUSES.__getitem__),
    "id": _Column("e.id", "", packed),
    "parent_id": _Column("e.parent", "", packed),
    "name": _Column("d.name", _DETAIL),
    "hour": _Column(f"e.at / {HOUR_US}", "", read=hour_name),
}
"""Every column that a question may name. `day` and `tag:NAME` depend on the question and are made below."""

_TAG = (
    "(SELECT json_extract(value, '$[1]') FROM json_each(coalesce(a.tags, '[]')) "
    "WHERE json_extract(value, '$[0]') = ? LIMIT 1)"
)


@dataclass(frozen=True, slots=True)
class Select:
    """The parts of a statement over `entry e` or `rollup e`, and what is bound to them."""

    query: Query
    rolled: bool = False

    def seqs(self, last: int, after: tuple[int, int], limit: int) -> tuple[str, Bound]:
        """The instants and sequence numbers that match, in order, from a place on."""
        joins, condition, bound = self._where()
        at, seq = after
        statement = (
            f"SELECT e.at, e.seq FROM entry e {joins} WHERE {condition} AND e.seq <= ? AND (e.at, e.seq) > (?, ?) "  # noqa: S608  # names from _COLUMNS
            "ORDER BY e.at, e.seq LIMIT ?"
        )
        return statement, (*bound, last, at, seq, limit)

    def sums(self, span: str, spanned: Bound) -> tuple[str, Bound]:
        """The measures by group, kind and status, for the entries or days of a span."""
        joins, condition, bound = self._where()
        keys, key_bound = self._keys()
        tables, sums = ("rollup e", _ROLLED_SUMS) if self.rolled else (RAW_TABLES, RAW_SUMS)
        statement = (
            f"SELECT {keys}e.kind, e.status, {sums} FROM {tables} {joins} "  # noqa: S608  # names from _COLUMNS
            f"WHERE {condition} AND {span} GROUP BY {self._places(2)}"
        )
        return statement, (*key_bound, *bound, *spanned)

    def latencies(self, span: str, spanned: Bound) -> tuple[str, Bound]:
        """How many durations of model calls fell into each bucket, by group."""
        joins, condition, bound = self._where()
        keys, key_bound = self._keys()
        table, count = (_LATENCY, "sum(e.n)") if self.rolled else ("entry e", "count(*)")
        statement = (
            f"SELECT {keys}e.bucket, {count} FROM {table} {joins} "  # noqa: S608  # names from _COLUMNS
            f"WHERE {condition} AND e.bucket IS NOT NULL AND {span} GROUP BY {self._places(1)}"
        )
        return statement, (*key_bound, *bound, *spanned)

    def key(self, row: tuple[Any, ...]) -> tuple[Value, ...]:
        """The group's key, from the first columns of a row."""
        return tuple(self._column(name).read(value) for name, value in zip(self.query.by, row, strict=False))

    def named(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """Kind and status by name, the rest as it is."""
        return (KINDS[row[0]], STATUSES[row[1]], *row[2:])

    def _places(self, more: int) -> str:
        return ", ".join(str(i + 1) for i in range(len(self.query.by) + more))

    def _keys(self) -> tuple[str, Bound]:
        columns = "".join(f"{self._column(name).sql}, " for name in self.query.by)
        return columns, tuple(name[4:] for name in self.query.by if name.startswith("tag:"))

    def _where(self) -> tuple[str, str, Bound]:
        conditions = ["1"]
        bound: list[object] = []
        for name, values in self.query.conditions:
            column = self._column(name)
            if name.startswith("tag:"):
                bound.append(name[4:])
            stated = [column.write(value) for value in values if value is not None]
            conditions.append(f"ifnull({column.sql} IN ({', '.join('?' * len(stated))}), {int(None in values)})")
            bound += stated
        names = (*self.query.by, *(name for name, _ in self.query.conditions))
        joins = " ".join(dict.fromkeys(self._column(name).join for name in names))
        return joins, " AND ".join(conditions), tuple(bound)

    def _column(self, name: str) -> _Column:
        if name == "day":
            return _Column("e.day" if self.rolled else f"e.at / {DAY_US}", "", read=day_name)
        return _Column(_TAG, _ATTRIBUTION) if name.startswith("tag:") else _COLUMNS[name]


_ROLLED_SUMS = ", ".join(f"sum(e.{name})" for name in MEASURES)

_LATENCY = f"(SELECT day, attribution, {KIND_NUMBERS['llm']} AS kind, status, bucket, n FROM latency) e"  # noqa: S608  # a number
