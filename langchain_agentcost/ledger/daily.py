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
from langchain_agentcost.ledger.query import DAY_US, UNROLLED, Query, Value, day_name, microseconds

_LABELS = tuple(name for name in DIMENSIONS if name not in UNROLLED)
_PLACES = {name: place for place, name in enumerate((*_LABELS, "tags", "day", "kind", "status"))}
"""Where a dimension stands in a cell's key."""

_labels_of = attrgetter(*_LABELS, "tags")


@dataclass(slots=True)
class _Cell:
    """The sums over the entries of one day that share labels, kind and status."""

    common: Iterable[int] = (0,) * len(COMMON)
    rare: Iterable[int] | None = None
    buckets: list[int] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        self.common = [*map(_plus, self.common, common_measures(entry))]
        if has_rare(entry):
            self.rare = [*map(_plus, self.rare or (0,) * len(RARE), rare_measures(entry))]
        number = latency_bucket(entry)
        if number is not None:
            self.buckets.append(number)


class DailySums:
    """What entries add up to, by day and by every dimension that has few values."""

    def __init__(self) -> None:
        self._cells: dict[tuple[Any, ...], _Cell] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Add entries that were not added before."""
        cells = self._cells
        for entry in entries:
            key = (*_labels_of(entry.attribution), microseconds(entry.at) // DAY_US, entry.kind, entry.status)
            cell = cells.get(key)
            if cell is None:
                cell = cells[key] = _Cell()
            cell.add(entry)

    def groups(self, query: Query) -> dict[tuple[Value, ...], Group]:
        """Answer a question that names no time and no dimension of many values."""
        groups: dict[tuple[Value, ...], Group] = {}
        readers = [_reader(name) for name in query.by]
        for (*raw, kind, status), cells in self._gathered(query).items():
            key = tuple(read(value) for read, value in zip(readers, raw, strict=True))
            group = groups.setdefault(key, Group())
            group.add_common(kind, status, [*map(sum, zip(*(cell.common for cell in cells), strict=True))])
            for cell in cells:
                if cell.rare is not None:
                    group.add_rare(kind, status, [*cell.rare])
            group.latency.update(chain.from_iterable(cell.buckets for cell in cells))
        return groups

    def _gathered(self, query: Query) -> Mapping[tuple[Any, ...], list[_Cell]]:
        """The cells that match, by what they are grouped by, kind and status."""
        wanted = [(_PLACES[_column(c)], _reader(c), frozenset(values)) for c, values in query.conditions]
        grouped_by = itemgetter(*(_PLACES[_column(name)] for name in query.by), _PLACES["kind"], _PLACES["status"])
        gathered: dict[tuple[Any, ...], list[_Cell]] = {}
        for key, cell in list(self._cells.items()):
            if all(read(key[place]) in values for place, read, values in wanted):
                gathered.setdefault(grouped_by(key), []).append(cell)
        return gathered


def _column(name: str) -> str:
    return "tags" if name.startswith("tag:") else name


def _reader(name: str) -> Callable[[Any], Value]:
    """What turns a part of a cell's key into the value of a dimension."""
    if name.startswith("tag:"):
        return lambda tags: next((value for tag, value in tags if tag == name[4:]), None)
    return day_name if name == "day" else _as_it_is


def _as_it_is(value: Value) -> Value:
    return value
