"""A ledger in the memory of this process: for tests, notebooks and runs that nobody has to remember."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Self

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.base import Total, Where
from langchain_agentcost.ledger.daily import DailySums
from langchain_agentcost.ledger.entry import Entry
from langchain_agentcost.ledger.fold import Group, check, common_measures, latency_bucket, ranked, rare_measures
from langchain_agentcost.ledger.fork import rest_at_fork
from langchain_agentcost.ledger.query import Query, Sums, Value, ask, column_of, microseconds

FOLD_EVERY = 1024
"""How many entries wait to be added up: adding costs more than appending, and short runs never ask for it."""


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
        self._sums = DailySums()
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
        groups = self._from_days(query, query.sums) if query.sums and whole_days else self._from_entries(query)
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
        self._sums = DailySums()

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

    def _from_days(self, query: Query, sums: Sums) -> dict[tuple[Value, ...], Group]:
        with self._lock:
            entries = self._opened()
            self._fold()
            added = len(entries) - len(self._pending)  # the collector may append at any allocation
            return self._sums.groups(query, sums, islice(entries.values(), added))

    def _fold(self) -> None:
        """Bring the sums per day up to date."""
        pending, self._pending = self._pending, []
        self._sums.add(pending)


def _forgotten(entry: Entry, user: str, sessions: set[str | None]) -> Entry:
    """The entry without the user's labels; the entry itself where it had none."""
    who = entry.attribution
    is_theirs, in_theirs = who.user == user, who.session in sessions
    if not (is_theirs or in_theirs):
        return entry
    who = replace(who, user=None if is_theirs else who.user, session=None if in_theirs else who.session)
    return replace(entry, attribution=who, fingerprints=None if is_theirs else entry.fingerprints)
