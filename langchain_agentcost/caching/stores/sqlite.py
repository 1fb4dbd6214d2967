"""A store in a SQLite file: shared by the threads and processes of one machine, and there again after a restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from langchain_agentcost.caching.store import Audit, Cached, Near, Room
from langchain_agentcost.caching.stores.marks import MOST_MARKS
from langchain_agentcost.caching.stores.partitions import Partitions
from langchain_agentcost.caching.stores.tables import CACHE
from langchain_agentcost.caching.stores.vectors import is_usable
from langchain_agentcost.caching.stores.weight import MOST_AUDITS, MOST_SERIES, weight
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.access import Access
from langchain_agentcost.ledger.file import prepare
from langchain_agentcost.ledger.steps import Steps

_USE_EVERY_S: Final = 600.0
"""How exactly the last use of an entry is kept: a use within that time of another writes nothing."""

_ENDED_AT_ONCE = 16
"""How many ended entries a put clears away: more than it adds, so that they get fewer."""

_AUDITS_EVERY = 100

_COLUMNS = "number, used, partition, key, value, epoch, created, expires, stale, tags, text, vector"
_LIVE = "(expires IS NULL OR expires > ?)"
_GET = f"SELECT {_COLUMNS} FROM entry WHERE partition = ? AND key = ? AND {_LIVE}"  # noqa: S608  # constants
_BY_NUMBER = f"SELECT {_COLUMNS} FROM entry WHERE number IN (SELECT value FROM json_each(?))"  # noqa: S608  # same
_WHOLE = (
    "SELECT number, vector FROM entry WHERE number IN (SELECT value FROM json_each(?)) "  # noqa: S608  # same
    f"AND typeof(vector) = 'blob' AND length(vector) = ? AND {_LIVE}"
)
_INSERT = (
    "INSERT INTO entry (partition, key, epoch, created, expires, stale, used, size, tags, text, vector, value) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_REMOVE = "DELETE FROM entry WHERE partition = ? AND key = ?"
_REMOVE_ENDED = "DELETE FROM entry WHERE number IN (SELECT number FROM entry WHERE expires <= ? LIMIT ?)"
_REMOVE_OLDEST_USED = "DELETE FROM entry WHERE number = (SELECT number FROM entry ORDER BY used, number LIMIT 1)"
_REMOVE_TAGGED = "DELETE FROM entry WHERE number IN (SELECT number FROM tag WHERE tag = ?) AND created < ?"
_FORBIDS = "SELECT 1 FROM state WHERE floor > ?2 UNION ALL SELECT 1 FROM mark WHERE tag = ?1 AND epoch > ?2"
_TRIM_MARKS = "SELECT epoch FROM mark ORDER BY epoch DESC LIMIT 1 OFFSET ?"
_OLD_AUDIT = "SELECT number FROM audit WHERE series = ? ORDER BY number DESC LIMIT 1 OFFSET ?"
_AUDITS = "SELECT score, right, at FROM audit WHERE series = ? ORDER BY number DESC LIMIT ?"


class SQLiteStore:
    """Keeps entries in a SQLite file in WAL mode, the least recently used of which are forgotten when it is full.

    A change survives the death of the process (not a power cut in the same second: `synchronous=NORMAL`). Threads,
    forked and spawned processes may share the file; it must lie on a local disk. Vectors are searched in memory: a
    partition's are loaded when something is first looked for in it.

    Args:
        path: The file. It is made, readable by its owner only, where it is missing or empty.
        create: False to refuse where there is no cache yet.
        max_entries: How many entries are kept at most, in all partitions together.
        max_bytes: How much they may take, by estimate.

    Raises:
        StoreUnavailable: If the file cannot be used, and why.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, SQLiteStore(Path(folder, "cache.db")) as store:
        ...     entry = Cached(partition="p", key="k", value=b"42", epoch=store.epoch(), created_s=0)
        ...     store.put(entry), store.get("p", "k", now_s=1).value
        (True, b'42')
    """

    waits = True

    def __init__(
        self,
        path: Path | str,
        *,
        create: bool = True,
        max_entries: int = 100_000,
        max_bytes: int = 1_000_000_000,
    ) -> None:
        try:
            self.path = Path(path).expanduser().resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise StoreUnavailable(f"{str(path)[:200]!r} is not a path: {error}.") from error
        self.url = f"sqlite:///{self.path}"
        self._most = Room(max_entries, max_bytes)
        prepare(self.path, create=create, kind=CACHE)
        self._writer = Access(self.path, exclusive=True, noun=CACHE.noun)
        self._reader = Access(self.path, exclusive=False, noun=CACHE.noun)
        self._steps = Steps(self._writer, "BEGIN IMMEDIATE")
        self._read = Steps(self._reader, "BEGIN")
        self._partitions = Partitions()
        """Only used inside `_read`, which lets one thread in at a time."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a spawned process open the same file."""
        return _reopened, (self.path, self._most)

    def epoch(self) -> int:
        """Give the number of invalidations so far; see `CacheStore.epoch`."""
        with self._reader as db:
            return self._state(db)[0]

    def get(self, partition: str, key: str, *, now_s: float) -> Cached | None:
        """Give the live entry with exactly this key."""
        with self._reader as db:
            row = db.execute(_GET, (_packed(partition), _packed(key), now_s)).fetchone()
        entry = None if row is None else _entry(row)
        if entry is not None:
            self._use(row, now_s)
        return entry

    def nearest(self, partition: str, vector: bytes, *, most: int, now_s: float) -> Sequence[Near]:
        """Give the live entries with the nearest vectors; see `CacheStore.nearest`. Counts as a use of the nearest."""
        if most < 1 or not is_usable(vector):
            return ()
        with self._read() as db:
            vectors = self._partitions.vectors(db, _packed(partition), len(vector))

            def whole(numbers: Sequence[int]) -> Mapping[int, bytes]:
                found = dict(db.execute(_WHOLE, (json.dumps(numbers), len(vector), now_s)))
                for number in set(numbers) - set(found):
                    vectors.discard(number)
                return found

            cosines = dict(vectors.nearest(vector, most=most, whole=whole))
            rows = {row[0]: row for row in db.execute(_BY_NUMBER, (json.dumps(list(cosines)),))}
        if rows:
            self._use(rows[next(iter(cosines))], now_s)
        near = ((_entry(rows[number]), cosine) for number, cosine in cosines.items())
        return [Near(entry, cosine) for entry, cosine in near if entry is not None]

    def put(self, entry: Cached) -> bool:
        """Keep an entry; see `CacheStore.put`. One that would fill the store alone is not kept either."""
        size, tags = weight(entry), [_packed(tag) for tag in entry.tags]
        row = (*_row(entry)[:6], entry.created_s, size, *_row(entry)[6:])
        with self._change() as db:
            db.execute(_REMOVE_ENDED, (entry.created_s, _ENDED_AT_ONCE))
            if size > self._most.bytes or self._most.entries < 1:
                return False
            if any(db.execute(_FORBIDS, (tag, entry.epoch)).fetchone() for tag in tags):
                return False
            db.execute(_REMOVE, row[:2])
            number = db.execute(_INSERT, row).lastrowid
            db.executemany("INSERT OR IGNORE INTO tag VALUES (?, ?)", [(tag, number) for tag in tags])
            self._make_room(db)
            return True

    def remove(self, partition: str, key: str) -> bool:
        """Remove an entry; whether there was one."""
        with self._change() as db:
            return db.execute(_REMOVE, (_packed(partition), _packed(key))).rowcount > 0

    def invalidate(self, tags: Iterable[str]) -> None:
        """End all entries with any of these tags; see `CacheStore.invalidate`."""
        wanted = [(_packed(tag),) for tag in set(tags)]
        with self._change() as db:
            db.execute("UPDATE state SET epoch = epoch + 1")
            db.executemany("INSERT OR REPLACE INTO mark SELECT ?, epoch FROM state", wanted)
            db.executemany(_REMOVE_TAGGED, [(tag, _NEVER) for (tag,) in wanted])
            oldest = db.execute(_TRIM_MARKS, (MOST_MARKS,)).fetchone()
            if oldest is not None:
                db.execute("DELETE FROM mark WHERE epoch <= ?", oldest)
                db.execute("UPDATE state SET floor = ?", oldest)

    def delete(self, tags: Iterable[str] = (), *, before_s: float | None = None) -> int:
        """Delete for good, from the file and its write-ahead log; see `CacheStore.delete`."""
        wanted, before = {_packed(tag) for tag in tags}, _NEVER if before_s is None else before_s
        with self._change() as db:
            if wanted:
                deleted = sum(db.execute(_REMOVE_TAGGED, (tag, before)).rowcount for tag in wanted)
            else:
                deleted = db.execute("DELETE FROM entry WHERE created < ?", (before,)).rowcount
        with self._writer as db:
            (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise StoreUnavailable(
                f"The entries are out of the cache {self.path}, but a reader in another process keeps the old text in "
                "its write-ahead log. Delete again when it has finished."
            )
        return deleted

    def add_audit(self, series: str, audit: Audit) -> None:
        """Remember an audit."""
        name = _packed(series)
        with self._change() as db:
            row = (name, audit.score, audit.right, audit.at_s)
            number = db.execute("INSERT INTO audit (series, score, right, at) VALUES (?, ?, ?, ?)", row).lastrowid or 0
            if number % _AUDITS_EVERY == 0:
                old = db.execute(_OLD_AUDIT, (name, MOST_AUDITS)).fetchone() or (0,)
                db.execute("DELETE FROM audit WHERE series = ? AND number <= ?", (name, *old))
                db.execute("DELETE FROM audit WHERE number <= ?", (number - MOST_AUDITS * MOST_SERIES,))

    def audits(self, series: str, *, newest: int) -> Sequence[Audit]:
        """Give the newest audits of a series, oldest first."""
        with self._reader as db:
            rows = db.execute(_AUDITS, (_packed(series), max(0, min(newest, MOST_AUDITS)))).fetchall()
        whole = (row for row in reversed(rows) if all(isinstance(number, float | int) for number in row))
        return [Audit(score, bool(right), at_s) for score, right, at_s in whole]

    def room(self) -> Room:
        """Give how much it holds, ended entries that are not cleared away yet included."""
        with self._reader as db:
            return Room(*self._state(db)[1:])

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()
        self._reader.close()
        self._partitions.clear()

    def __enter__(self) -> Self:
        """Use the store for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """A transaction that leaves nothing in the file of what it removes."""
        with self._steps() as db:
            db.execute("PRAGMA secure_delete = ON")
            yield db

    def _state(self, db: sqlite3.Connection) -> tuple[int, int, int]:
        """Give the epoch, and how many entries and bytes there are."""
        row: tuple[int, int, int] | None = db.execute("SELECT epoch, entries, bytes FROM state").fetchone()
        if row is None or not all(isinstance(number, int) for number in row):
            raise StoreUnavailable(f"The cache {self.path} is damaged. Remove it: it is filled again by and by.")
        return row

    def _use(self, row: tuple[Any, ...], now_s: float) -> None:
        """Write an entry's last use down now and then. Where that fails, the entry was read all the same."""
        if now_s - row[1] >= _USE_EVERY_S:
            with suppress(StoreUnavailable), self._change() as db:
                db.execute("UPDATE entry SET used = ? WHERE number = ?", (now_s, row[0]))

    def _make_room(self, db: sqlite3.Connection) -> None:
        while True:
            room = Room(*self._state(db)[1:])
            if room.entries <= self._most.entries and room.bytes <= self._most.bytes:
                return
            if not db.execute(_REMOVE_OLDEST_USED).rowcount:
                return


_NEVER = float("inf")


def _reopened(path: Path, most: Room) -> SQLiteStore:
    return SQLiteStore(path, max_entries=most.entries, max_bytes=most.bytes)


def _packed(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _unpacked(text: bytes) -> str:
    return text.decode("utf-8", "surrogatepass")


def _row(entry: Cached) -> tuple[Any, ...]:
    """What is kept of an entry as it is."""
    return (
        _packed(entry.partition),
        _packed(entry.key),
        entry.epoch,
        entry.created_s,
        entry.expires_s,
        entry.stale_s,
        json.dumps(entry.tags).encode(),
        None if entry.text is None else _packed(entry.text),
        entry.vector,
        entry.value,
    )


def _entry(row: tuple[Any, ...]) -> Cached | None:
    """Read an entry; None where the row is damaged."""
    _, used_s, partition, key, value, epoch, created_s, expires_s, stale_s, tags, text, vector = row
    numbers = (used_s, epoch, created_s, expires_s, stale_s)
    blobs = (partition, key, value, tags, text, vector)
    if not all(isinstance(one, float | int | None) for one in numbers) or not all(
        isinstance(one, bytes | None) for one in blobs
    ):
        return None
    try:
        return Cached(
            partition=_unpacked(partition),
            key=_unpacked(key),
            value=value,
            epoch=epoch,
            created_s=created_s,
            expires_s=expires_s,
            stale_s=stale_s,
            tags=tuple(str(tag) for tag in json.loads(tags)),
            text=None if text is None else _unpacked(text),
            vector=vector,
        )
    except (TypeError, ValueError):
        return None
