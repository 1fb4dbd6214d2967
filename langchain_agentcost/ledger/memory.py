"""A ledger in the memory of this process: for tests, notebooks and runs that nobody has to remember."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import add as _plus
from operator import attrgetter
from typing import Self

from langchain_agentcost.attribution import DIMENSIONS
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.base import Total, Where
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.fold import (
    COMMON,
    RARE,
    Group,
    check,
    common_measures,
    has_rare,
    latency_bucket,
    ranked,
    rare_measures,
)
from langchain_agentcost.ledger.fork import rest_at_fork
from langchain_agentcost.ledger.query import DAY_US, UNROLLED, Query, Value, ask, column_of, day_name, microseconds

FOLD_EVERY = 1024
"""How many entries wait to be added up: adding costs more than appending, and short runs never ask for it."""

_LABELS = tuple(name for name in DIMENSIONS if name not in UNROLLED)
_labels_of = attrgetter(*_LABELS, "tags")


@dataclass(slots=True)
class _Cell:
    """The sums over the entries of one day that share labels, kind and status."""

    common: Sequence[int] = (0,) * len(COMMON)
    rare: Sequence[int] = (0,) * len(RARE)
    latency: Counter[int] = field(default_factory=Counter)

    def add(self, entry: Entry) -> None:
        self.common = [*map(_plus, self.common, common_measures(entry))]
        if has_rare(entry):
            self.rare = [*map(_plus, self.rare, rare_measures(entry))]
        number = latency_bucket(entry)
        if number is not None:
            self.latency[number] += 1


class MemoryLedger:
    """Entries in a dict. Sums per day are kept, so that a second report reads only what is new.

    Example:
        >>> from datetime import UTC
        >>> with MemoryLedger() as ledger:
        ...     ledger.append(Entry("r1", "llm", datetime.now(UTC)))
        ...     ledger.totals()[0].unpriced_calls
        1
    """

    def __init__(self) -> None:
        self.url = "memory://"
        self._lock = threading.RLock()  # the garbage collector may book an abandoned stream within an append
        self._entries: dict[str, Entry] | None = {}
        self._pending: list[Entry] = []
        self._cells: dict[tuple[object, ...], _Cell] = {}
        rest_at_fork(self)

    def append(self, entry: Entry) -> None:
        """Keep an entry; see `Ledger.append`."""
        check(entry)
        with self._lock:
            entries = self._opened()
            if entry.id not in entries:
                entries[entry.id] = entry
                self._pending.append(entry)
                if len(self._pending) >= FOLD_EVERY:
                    self._fold()

    def entries(
        self, where: Where | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Entry]:
        """Go through the entries as they are now; see `Ledger.entries`."""
        query = ask((), where, since, until)
        return iter(sorted(self._matching(query), key=attrgetter("at")))

    def totals(
        self,
        by: Sequence[str] = (),
        where: Where | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[Total, ...]:
        """Add the entries up; see `Ledger.totals`."""
        query = ask(by, where, since, until)
        whole_days = query.since_us is None and query.until_us is None
        groups = self._from_days(query) if query.rolled and whole_days else self._from_entries(query)
        return ranked(group.total(key) for key, group in groups.items())

    def prune(self, before: datetime) -> int:
        """Remove old entries; see `Ledger.prune`."""
        query = ask(since=before)
        with self._lock:
            entries = self._opened()
            kept = {e.id: e for e in entries.values() if query.covers(microseconds(e.at))}
            removed = len(entries) - len(kept)
            self._replace(kept)
        return removed

    def forget(self, user: str) -> int:
        """Remove a user's label and their sessions'; see `Ledger.forget`."""
        with self._lock:
            entries = self._opened()
            theirs = {e.attribution.session for e in entries.values() if e.attribution.user == user} - {None}
            kept = {e.id: _forgotten(e, user, theirs) for e in entries.values()}
            changed = sum(kept[e.id] is not e for e in entries.values())
            self._replace(kept)
        return changed

    def close(self) -> None:
        """Drop the entries."""
        with self._lock:
            self._replace({})
            self._entries = None

    def __enter__(self) -> Self:
        """Use the ledger for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def hold(self) -> None:
        """Wait for other threads before this process forks."""
        self._lock.acquire()

    def resume(self) -> None:
        """Go on after the fork."""
        self._lock.release()

    def _opened(self) -> dict[str, Entry]:
        if self._entries is None:
            raise StoreUnavailable("This memory ledger was closed; open a new one.")
        return self._entries

    def _replace(self, entries: dict[str, Entry]) -> None:
        self._entries, self._pending = entries, list(entries.values())
        self._cells = {}

    def _matching(self, query: Query) -> Iterable[Entry]:
        with self._lock:
            entries = list(self._opened().values())
        wanted = [(column, frozenset(values)) for column, values in query.conditions]
        return [
            entry
            for entry in entries
            if query.covers(microseconds(entry.at)) and all(column_of(entry, c) in values for c, values in wanted)
        ]

    def _from_entries(self, query: Query) -> dict[tuple[Value, ...], Group]:
        groups: dict[tuple[Value, ...], Group] = {}
        for entry in self._matching(query):
            group = groups.setdefault(tuple(column_of(entry, name) for name in query.by), Group())
            group.add(entry.kind, entry.status, (*common_measures(entry), *rare_measures(entry)))
            number = latency_bucket(entry)
            if number is not None:
                group.latency[number] += 1
        return groups

    def _from_days(self, query: Query) -> dict[tuple[Value, ...], Group]:
        groups: dict[tuple[Value, ...], Group] = {}
        wanted = [(column, frozenset(values)) for column, values in query.conditions]
        with self._lock:
            self._opened()
            self._fold()
            for cell_key, cell in self._cells.items():
                if all(_cell_column(cell_key, column) in values for column, values in wanted):
                    group = groups.setdefault(tuple(_cell_column(cell_key, name) for name in query.by), Group())
                    group.add(str(cell_key[-2]), str(cell_key[-1]), (*cell.common, *cell.rare))
                    group.latency.update(cell.latency)
        return groups

    def _fold(self) -> None:
        """Add what is new to the sums per day."""
        cells = self._cells
        pending, self._pending = self._pending, []
        for entry in pending:
            key = (*_labels_of(entry.attribution), microseconds(entry.at) // DAY_US, entry.kind, entry.status)
            cell = cells.get(key)
            if cell is None:
                cell = cells[key] = _Cell()
            cell.add(entry)


_CELL_AT = {name: i for i, name in enumerate((*_LABELS, "tags", "day", "kind", "status"))}


def _cell_column(key: tuple[object, ...], name: str) -> Value:
    if name.startswith("tag:"):
        tags = key[_CELL_AT["tags"]]
        return next((value for tag, value in tags if tag == name[4:]), None)  # type: ignore[attr-defined]
    value = key[_CELL_AT[name]]
    return day_name(value) if name == "day" else value  # type: ignore[arg-type,return-value]


def _forgotten(entry: Entry, user: str, sessions: set[str | None]) -> Entry:
    """The entry without the user's labels; the entry itself where it had none."""
    who = entry.attribution
    is_theirs, in_theirs = who.user == user, who.session in sessions
    if not (is_theirs or in_theirs):
        return entry
    who = replace(who, user=None if is_theirs else who.user, session=None if in_theirs else who.session)
    return replace(entry, attribution=who, fingerprints=None if is_theirs else entry.fingerprints)
