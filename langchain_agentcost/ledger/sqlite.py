"""A ledger in a SQLite file: durable as soon as an append returns, shared by threads and processes."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Self

from langchain_agentcost.errors import InvalidEntry, StoreUnavailable
from langchain_agentcost.ledger import retention
from langchain_agentcost.ledger.access import Access
from langchain_agentcost.ledger.base import Total, Where
from langchain_agentcost.ledger.entry import KINDS, STATUSES, Entry
from langchain_agentcost.ledger.file import prepare
from langchain_agentcost.ledger.fold import Group, check, ranked
from langchain_agentcost.ledger.latency import counted
from langchain_agentcost.ledger.query import DAY_US, Query, Value, ask
from langchain_agentcost.ledger.rows import (
    COLUMNS,
    EXTRA_COLUMNS,
    SELECT,
    Labels,
    Reader,
    extra_of,
    has_extra,
    has_more,
    more_of,
    packed,
    row_of,
)
from langchain_agentcost.ledger.schema import FOLD_EVERY, fold
from langchain_agentcost.ledger.sql import Bound, Select, tag_of

_INSERT = (
    f"INSERT INTO entry ({COLUMNS}) SELECT {', '.join('?' * (COLUMNS.count(',') + 1))} "  # noqa: S608  # constants
    "WHERE (SELECT generation FROM state) = ? ON CONFLICT (id) DO NOTHING"
)
_IS_THERE = "SELECT 1 FROM entry WHERE id = ?"
_INSERT_EXTRA = f"INSERT INTO extra (seq, {EXTRA_COLUMNS}) VALUES (?{', ?' * (EXTRA_COLUMNS.count(',') + 1)})"  # noqa: S608  # same

_BLOCK = 200_000
"""Sequence numbers that an iteration sorts at a time: 16 bytes each, whatever the ledger's size."""

_PAGE = 500

_Groups = dict[tuple[Value, ...], Group]


class SQLiteLedger:
    """Entries in a SQLite file in WAL mode, each committed as it comes.

    An append survives the death of the process (not a power cut in the same second: `synchronous=NORMAL`). Threads,
    forked and spawned processes may share the file; it must lie on a local disk. Reports never wait for writers.

    Args:
        path: The file. It is made, readable by its owner only, where it is missing or empty.
        create: False to refuse where there is no ledger yet, for commands that only read.

    Raises:
        StoreUnavailable: If the file cannot be used, and why.

    Example:
        >>> from datetime import UTC
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, SQLiteLedger(Path(folder, "ledger.db")) as ledger:
        ...     ledger.append(Entry("r1", "llm", datetime.now(UTC)))
        ...     ledger.totals()[0].calls
        1
    """

    def __init__(self, path: Path | str, *, create: bool = True) -> None:
        try:
            self.path = Path(path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreUnavailable(f"{str(path)[:200]!r} is not a path: {error}.") from error
        self.url = f"sqlite:///{self.path}"
        prepare(self.path, create=create)
        self._writer = Access(self.path, exclusive=True)
        self._reader = Access(self.path, exclusive=False, functions={"tag_of": tag_of})
        self._labels = Labels()
        self._nested: deque[Entry] = deque()
        """What came from within an append: the garbage collector may close a stream, and so book it, at any point."""

    def __reduce__(self) -> tuple[type[SQLiteLedger], tuple[Path]]:
        """Let a spawned process open the same file."""
        return type(self), (self.path,)

    def append(self, entry: Entry) -> None:
        """Keep an entry; see `Ledger.append`."""
        if self._writer.mine:
            check(entry)
            self._nested.append(entry)
            return
        try:
            with self._writer as connection:
                self._keep(connection, entry)
                while self._nested:
                    self._keep(connection, self._nested.popleft())
        except (OverflowError, UnicodeEncodeError) as error:
            raise InvalidEntry(f"Entry {entry.id[:60]!r} holds what SQLite cannot: {error}.") from error

    def entries(
        self, where: Where | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Entry]:
        """Go through the entries as they are when the iteration begins; see `Ledger.entries`."""
        return self._iterate(Select(ask((), where, since, until)))

    def totals(
        self,
        by: Sequence[str] = (),
        where: Where | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[Total, ...]:
        """Add the entries up; see `Ledger.totals`."""
        query = ask(by, where, since, until)
        groups: _Groups = {}
        with self._reader as connection:
            connection.execute("BEGIN")
            for select, span, bound in _spans(connection, query):
                _add(connection, select, span, bound, groups)
            for select, span, bound in _spans(connection, query, latency=True):
                _add_latency(connection, select, span, bound, groups)
            connection.execute("COMMIT")
        return ranked(group.total(key) for key, group in groups.items())

    def prune(self, before: datetime) -> int:
        """Remove old entries; see `Ledger.prune`."""
        at_us = ask(since=before).since_us
        with self._writer as connection:
            removed = retention.prune(connection, at_us or 0)
            retention.wipe(connection)
        return removed

    def forget(self, user: str) -> int:
        """Remove a user's label and their sessions'; see `Ledger.forget`."""
        with self._writer as connection:
            changed = retention.forget(connection, user)
            retention.wipe(connection)
        return changed

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()
        self._reader.close()

    def __enter__(self) -> Self:
        """Use the ledger for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def _keep(self, connection: sqlite3.Connection, entry: Entry) -> None:
        seq = self._insert(connection, entry) or self._insert_all(connection, entry)
        if seq and seq % FOLD_EVERY == 0:
            _fold_if_possible(connection)

    def _insert(self, connection: sqlite3.Connection, entry: Entry) -> int:
        """Insert an entry of the common kind, all in one row of known labels.

        Returns:
            Its number; 0 where it is not of that kind, or may be there already.
        """
        ids = self._labels.known(entry)
        if ids is None or has_more(entry) or has_extra(entry):
            return 0
        cursor = connection.execute(_INSERT, (*row_of(entry, ids), self._labels.generation))
        return (cursor.lastrowid or 0) if cursor.rowcount else 0

    def _insert_all(self, connection: sqlite3.Connection, entry: Entry) -> int:
        """Insert any entry, with its labels, in one transaction; gives 0 where it is there already.

        Of an entry that is there, no label may be written: forgetting a user would take it for one of theirs.
        """
        check(entry)
        try:
            connection.execute("BEGIN IMMEDIATE")
            if connection.execute(_IS_THERE, (packed(entry.id),)).fetchone():
                connection.execute("ROLLBACK")
                return 0
            self._labels.refresh(connection)
            row = row_of(entry, self._labels.write(connection, entry))
            seq = connection.execute(_INSERT, (*row, self._labels.generation)).lastrowid or 0
            if has_extra(entry):
                connection.execute(_INSERT_EXTRA, (seq, *extra_of(entry)))
            for statement, values in more_of(entry, seq):
                connection.execute(statement, values)
            connection.execute("COMMIT")
        except BaseException:
            self._labels.drop()
            raise
        return seq

    def _iterate(self, select: Select) -> Iterator[Entry]:
        reader = Reader()
        with self._reader as connection:
            (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
        place = (-1, 0)
        while True:
            with self._reader as connection:
                found = connection.execute(*select.seqs(last, place, _BLOCK))
                block = array("q", (number for pair in found for number in pair))
            for start in range(1, len(block), 2 * _PAGE):
                yield from self._page(reader, block[start : start + 2 * _PAGE : 2].tolist())
            if len(block) < 2 * _BLOCK:
                return
            place = (block[-2], block[-1])

    def _page(self, reader: Reader, seqs: list[int]) -> list[Entry]:
        """Whole entries; nothing is held open between pages, so a slow consumer holds nobody up."""
        with self._reader as connection:
            rows = connection.execute(SELECT, (json.dumps(seqs),)).fetchall()
            return [reader.entry(connection, row) for row in rows]


def _fold_if_possible(connection: sqlite3.Connection) -> None:
    """Bring the sums per day up to date. Where that fails the entry is safe, and the next fold takes it along."""
    with suppress(sqlite3.Error):
        connection.execute("BEGIN IMMEDIATE")
        fold(connection)
        connection.execute("COMMIT")
    if connection.in_transaction:
        connection.rollback()


def _spans(
    connection: sqlite3.Connection, query: Query, *, latency: bool = False
) -> Iterator[tuple[Select, str, Bound]]:
    """Where the answer comes from: sums per day for whole days, entries for the rest.

    Durations are not kept apart by user, there would be almost one bucket an entry, and nothing is kept apart by user
    and by another label: these are counted one by one.
    """
    since, until = query.since_us or 0, 2**62 if query.until_us is None else query.until_us
    (folded,) = connection.execute("SELECT folded FROM state").fetchone()
    raw = Select(query)
    yield raw, "e.seq > ? AND e.at >= ? AND e.at < ?", (folded, since, until)
    if query.sums != "what" and (query.sums != "who" or latency):
        yield _folded_span(connection, raw, (since, until), folded)
        return
    first, end = query.whole_days()
    if first < end:
        yield Select(query, rolled=True), "e.day >= ? AND e.day < ?", (first, end)
    for start, stop in ((since, min(first * DAY_US, until)), (max(end * DAY_US, since), until)):
        if start < stop:
            yield _folded_span(connection, raw, (start, stop), folded)


def _folded_span(
    connection: sqlite3.Connection, raw: Select, time: tuple[int, int], folded: int
) -> tuple[Select, str, Bound]:
    """The entries of a time that are in the sums per day, which know where in the file they stand."""
    where = "SELECT ifnull(min(first_seq), 0), ifnull(max(last_seq), 0) FROM span WHERE day BETWEEN ? AND ?"
    low, high = connection.execute(where, (time[0] // DAY_US, time[1] // DAY_US)).fetchone()
    return raw, "e.seq BETWEEN ? AND ? AND e.at >= ? AND e.at < ?", (low, min(high, folded), *time)


def _add(connection: sqlite3.Connection, select: Select, span: str, bound: Bound, groups: _Groups) -> None:
    width, key_of = select.width, select.keys(connection)
    for row in connection.execute(*select.common(span, bound)):
        group = groups.setdefault(key_of(row), Group())
        group.add_common(KINDS[row[width]], STATUSES[row[width + 1]], row[width + 2 :])
    for row in connection.execute(*select.rare(span, bound)):
        groups[key_of(row)].add_rare(KINDS[row[width]], STATUSES[row[width + 1]], row[width + 2 :])


def _add_latency(connection: sqlite3.Connection, select: Select, span: str, bound: Bound, groups: _Groups) -> None:
    key_of = select.keys(connection)
    written: defaultdict[tuple[Value, ...], Counter[str]] = defaultdict(Counter)
    for row in connection.execute(*select.latencies(span, bound)):
        written[key_of(row)].update(row[-1].split(","))
    for key, counts in written.items():
        groups[key].latency.update(counted(counts))
