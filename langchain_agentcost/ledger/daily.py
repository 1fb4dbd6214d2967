"""Sums per day in memory, so that a report does not read every entry again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import add as _plus
from operator import attrgetter, itemgetter
from typing import Any

from langchain_agentcost.attribution import DIMENSIONS
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.fold import (
    COMMON,
    RARE,
    Group,
    common_measures,
    has_rare,
    latency_bucket,
    rare_measures,
)
from langchain_agentcost.ledger.query import DAY_US, UNROLLED, Query, Sums, Value, day_name, microseconds

_WITHOUT_USER = tuple(name for name in DIMENSIONS if name not in UNROLLED and name != "user")
_APART: dict[Sums, tuple[str, ...]] = {
    "what": (*_WITHOUT_USER, "tags", "kind", "status", "day"),
    "who": ("user", "kind", "status", "day"),
    "both": ("user", *_WITHOUT_USER, "tags", "kind", "status", "day"),
}
"""What each kind of sums keeps apart: the parts of a cell's key."""


def _key_of(apart: Iterable[str]) -> Callable[[Entry], tuple[Any, ...]]:
    """What reads a cell's key, but for the day, from an entry."""
    own = ("kind", "status")
    key: Callable[[Entry], tuple[Any, ...]]
    key = attrgetter(*(name if name in own else f"attribution.{name}" for name in apart if name != "day"))
    return key


_KEYS = {sums: _key_of(apart) for sums, apart in _APART.items()}


@dataclass(slots=True)
class _Cell:
    """The sums over the entries of one day that share labels, kind and status."""

    common: Iterable[int] = (0,) * len(COMMON)
    rare: Iterable[int] | None = None
    buckets: list[int] = field(default_factory=list)

    new: list[tuple[int, ...]] = field(default_factory=list)
    """Common measures that are not in `common` yet: adding up many at once is quicker."""

    def add(self, common: tuple[int, ...], rare: Iterable[int] | None, bucket: int | None) -> None:
        self.new.append(common)
        if rare is not None:
            self.rare = [*map(_plus, self.rare or (0,) * len(RARE), rare)]
        if bucket is not None:
            self.buckets.append(bucket)

    def settle(self) -> None:
        new, self.new = self.new, []
        self.common = [*map(sum, zip(self.common, *new, strict=True))]


class DailySums:
    """What entries add up to per day.

    By what was called and by who called it they are kept apart, so that a report that names no user does not grow with
    the users. By both they are kept once that was asked for.
    """

    def __init__(self) -> None:
        self._cells: dict[Sums, dict[tuple[Any, ...], _Cell]] = {"what": {}, "who": {}}

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries that were not added before."""
        _add(entries, self._cells)

    def groups(self, query: Query, sums: Sums, entries: Iterable[Entry]) -> dict[tuple[Value, ...], Group]:
        """Answer a question that names no time.

        Args:
            query: The question.
            sums: Which sums answer it.
            entries: All that were added.
        """
        if sums not in self._cells:
            cells: dict[tuple[Any, ...], _Cell] = {}
            _add(list(entries), {sums: cells})
            self._cells[sums] = cells
        groups: dict[tuple[Value, ...], Group] = {}
        readers = [_reader(name) for name in query.by]
        for (*raw, kind, status), found in self._gathered(query, sums).items():
            key = tuple(read(value) for read, value in zip(readers, raw, strict=True))
            group = groups.setdefault(key, Group())
            group.add_common(kind, status, [*map(sum, zip(*(cell.common for cell in found), strict=True))])
            for cell in found:
                if cell.rare is not None:
                    group.add_rare(kind, status, [*cell.rare])
            group.latency.update(chain.from_iterable(cell.buckets for cell in found))
        return groups

    def _gathered(self, query: Query, sums: Sums) -> Mapping[tuple[Any, ...], list[_Cell]]:
        """The cells that match, by what they are grouped by, kind and status."""
        place = {name: at for at, name in enumerate(_APART[sums])}
        wanted = [(place[_column(c)], _reader(c), frozenset(values)) for c, values in query.conditions]
        grouped_by = itemgetter(*(place[_column(name)] for name in query.by), place["kind"], place["status"])
        gathered: dict[tuple[Any, ...], list[_Cell]] = {}
        for key, cell in list(self._cells[sums].items()):
            if all(read(key[at]) in values for at, read, values in wanted):
                gathered.setdefault(grouped_by(key), []).append(cell)
        return gathered


def _add(entries: Iterable[Entry], to: Mapping[Sums, dict[tuple[Any, ...], _Cell]]) -> None:
    places = [(_KEYS[sums], cells) for sums, cells in to.items()]
    touched: list[_Cell] = []
    for entry in entries:
        day = microseconds(entry.at) // DAY_US
        common, number = common_measures(entry), latency_bucket(entry)
        rare = rare_measures(entry) if has_rare(entry) else None
        for key_of, cells in places:
            key = (*key_of(entry), day)
            cell = cells.get(key)
            if cell is None:
                cell = cells[key] = _Cell()
            if not cell.new:
                touched.append(cell)
            cell.add(common, rare, number)
    for cell in touched:
        cell.settle()


def _column(name: str) -> str:
    return "tags" if name.startswith("tag:") else name


def _reader(name: str) -> Callable[[Any], Value]:
    """What turns a part of a cell's key into the value of a dimension."""
    if name.startswith("tag:"):
        return lambda tags: next((value for tag, value in tags if tag == name[4:]), None)
    return day_name if name == "day" else _as_it_is


def _as_it_is(value: Value) -> Value:
    return value
