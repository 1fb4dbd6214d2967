"""A store as caches use it: what goes wrong there is a miss, is counted, and never reaches the user's call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from time import time
from typing import Generic, NamedTuple, ParamSpec, TypeVar

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.scope import Caller, Runs
from langchain_agentcost.caching.store import Audit, Cached, CacheStore, Near
from langchain_agentcost.caching.stores import open_cache_store
from langchain_agentcost.errors import CacheWarning, StoreUnavailable, Unreadable, give_warning

P = ParamSpec("P")
T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """An entry and what its bytes hold."""

    entry: Cached
    value: T


class Shelf:
    """Where one cache, or several, keep their entries.

    Args:
        store: A store or its URL; None keeps everything in memory.
        secret: Makes stored hashes unguessable: 16 bytes or more that only this installation knows.
        attribution: Which metadata names tenant, user and session: the same that the meter has.

    Attributes:
        counts: What happened, by name: "poisoned" entries, "store_faults", and what caches add.
    """

    def __init__(
        self,
        store: CacheStore | str | None = None,
        *,
        secret: bytes | None = None,
        attribution: AttributionMap | None = None,
    ) -> None:
        self.store = open_cache_store(store or "memory://") if store is None or isinstance(store, str) else store
        self.secret = secret
        self.runs = Runs()
        self._table = attribution
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._warned = False

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far, by name."""
        with self._lock:
            return dict(self._counts)

    def count(self, name: str, number: int = 1) -> None:
        """Count something."""
        with self._lock:
            self._counts[name] += number

    def caller(self, config: RunnableConfig | None = None) -> Caller:
        """Say who asks.

        Args:
            config: The config of the call; None takes that of the run that this code is in.
        """
        return Caller.of(config, table=self._table, run=self.runs.current())

    async def off_loop(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call one of the methods below from async code: in a thread where the store waits for a network."""
        return await asyncio.to_thread(call, *args, **kwargs) if self.store.remote else call(*args, **kwargs)

    def epoch(self) -> int | None:
        """Give the store's epoch, to be taken before an answer is begun; None where it cannot be reached."""
        return self._safely(self.store.epoch, otherwise=None)

    def get(self, partition: str, key: str, read: Callable[[bytes], T]) -> Found[T] | None:
        """Give an entry and what it holds.

        Args:
            partition: Where to look.
            key: What to look for.
            read: Reads the bytes; raises `Unreadable` where they are not what it writes.
        """
        entry = self._safely(lambda: self.store.get(partition, key, now_s=time()), otherwise=None)
        return self.opened(entry, read) if entry is not None else None

    def nearest(self, partition: str, vector: bytes, *, most: int) -> Sequence[Near]:
        """Give the nearest entries of a partition; none where the store cannot be reached."""
        return self._safely(lambda: self.store.nearest(partition, vector, most=most, now_s=time()), otherwise=())

    def opened(self, entry: Cached, read: Callable[[bytes], T]) -> Found[T] | None:
        """Read an entry's bytes; one that cannot be read is removed and counted as poisoned."""
        try:
            return Found(entry, read(entry.value))
        except Unreadable:
            self.count("poisoned")
            self.remove(entry)
            return None

    def put(self, entry: Cached) -> bool:
        """Keep an entry; whether it is kept."""
        return self._safely(lambda: self.store.put(entry), otherwise=False)

    def remove(self, entry: Cached) -> None:
        """Remove an entry."""
        self._safely(lambda: self.store.remove(entry.partition, entry.key), otherwise=False)

    def end(self, tags: Iterable[str]) -> None:
        """End the entries with any of these tags, also those that are being made.

        Raises:
            StoreUnavailable: If the store cannot be reached: what is not ended would go on being served.
        """
        self.store.invalidate(tags)

    def delete(self, tags: Iterable[str] = (), *, before_s: float | None = None) -> int:
        """Delete entries for good; see `CacheStore.delete`.

        Raises:
            StoreUnavailable: If the store cannot be reached.
        """
        return self.store.delete(tags, before_s=before_s)

    def add_audit(self, series: str, audit: Audit) -> None:
        """Remember an audit."""
        self._safely(lambda: self.store.add_audit(series, audit), otherwise=None)

    def audits(self, series: str, *, newest: int) -> Sequence[Audit]:
        """Give the newest audits of a series, oldest first; none where the store cannot be reached."""
        return self._safely(lambda: self.store.audits(series, newest=newest), otherwise=())

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def _safely(self, call: Callable[[], T], *, otherwise: T) -> T:
        """Use the store; a fault of it is counted, and warned about once."""
        try:
            return call()
        except StoreUnavailable as error:
            self.count("store_faults")
            if not self._warned:
                self._warned = True
                give_warning(CacheWarning(f"The cache is passed by, its store cannot be used: {error}"))
            return otherwise
