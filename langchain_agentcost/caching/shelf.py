"""A store as caches use it: what goes wrong there is a miss, is counted, and never reaches the user's call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from time import time
from typing import Generic, NamedTuple, ParamSpec, TypeVar

from langchain_core.runnables import RunnableConfig

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.keys import keyed
from langchain_agentcost.caching.scope import Caller, Runs
from langchain_agentcost.caching.store import Audit, Cached, CacheStore, Near
from langchain_agentcost.caching.stores import open_cache_store
from langchain_agentcost.caching.tally import Tally
from langchain_agentcost.errors import (
    CacheError,
    MissingExtra,
    Unreadable,
)

P = ParamSpec("P")
T = TypeVar("T")


class Found(NamedTuple, Generic[T]):
    """An entry and what its bytes hold."""

    entry: Cached
    value: T


_LEAST_SECRET_BYTES = 16


class Shelf:
    """Where one cache, or several, keep their entries.

    Args:
        store: A store or its URL; None keeps everything in memory.
        secret: Makes stored hashes unguessable: 16 bytes or more that only this installation knows.
        attribution: Which metadata names tenant, user and session: the same that the meter has.

    Attributes:
        counts: What happened, by name: "poisoned" entries, "faults", and what caches add.
    """

    def __init__(
        self,
        store: CacheStore | str | None = None,
        *,
        secret: bytes | None = None,
        attribution: AttributionMap | None = None,
    ) -> None:
        self.store = open_cache_store(store or "memory://") if store is None or isinstance(store, str) else store
        if secret is not None and len(secret) < _LEAST_SECRET_BYTES:
            raise CacheError(f"secret has {len(secret)} bytes; below {_LEAST_SECRET_BYTES} it can be guessed.")
        self.secret = secret
        self.runs = Runs()
        self._table = attribution
        self._tally = Tally()

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far, by name."""
        return self._tally.counts

    def count(self, name: str, number: int = 1) -> None:
        """Count something."""
        self._tally.count(name, number)

    def caller(self, config: RunnableConfig | None = None) -> Caller:
        """Say who asks.

        Args:
            config: The config of the call; None takes that of the run that this code is in.
        """
        return Caller.of(config, table=self._table, run=self.runs.current())

    async def off_loop(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call one of the methods below from async code: in a thread where the store waits for a network."""
        return await asyncio.to_thread(call, *args, **kwargs) if self.store.waits else call(*args, **kwargs)

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
        """Keep an entry; whether it is kept. Where similar ones cannot be looked for, it is kept for equal ones."""
        try:
            return self.store.put(entry)
        except MissingExtra as error:
            self.fault("similar questions are not looked for", error)
            bare = replace(entry, text=None, vector=None)
        except Exception as error:  # noqa: BLE001  # any store, any database: what is cached can be made anew
            self.fault("the cache is passed by, its store failed", error)
            return False
        return self._safely(lambda: self.store.put(bare), otherwise=False)

    @classmethod
    def of(
        cls,
        store: CacheStore | Shelf | str | None,
        *,
        secret: bytes | None = None,
        attribution: AttributionMap | None = None,
    ) -> Shelf:
        """Give a shelf that caches share, or make one.

        Args:
            store: A shelf, a store or its URL; None is memory.
            secret: See `Shelf`.
            attribution: See `Shelf`.

        Raises:
            CacheError: If there is a shelf already and something else is given: it has its own.
        """
        if not isinstance(store, Shelf):
            return cls(store, secret=secret, attribution=attribution)
        if secret is not None or attribution is not None:
            raise CacheError("A shelf has its own attribution and secret: give them to it.")
        return store

    def remove(self, entry: Cached) -> None:
        """Remove an entry."""
        self._safely(lambda: self.store.remove(entry.partition, entry.key), otherwise=False)

    def end(self, tags: Iterable[str]) -> None:
        """End the entries with any of these tags, also those that are being made.

        Raises:
            StoreUnavailable: If the store cannot be reached: what is not ended would go on being served.
        """
        self.store.invalidate(tags)

    def forget(
        self,
        *,
        tenant: str | None = None,
        user: str | None = None,
        session: str | None = None,
        model: str | None = None,
        before: datetime | None = None,
    ) -> int:
        """Delete entries for good: those of a tenant, of a user or session of it, of a model, or all that are old.

        Args:
            tenant: Whose; with a user or session, whose they are.
            user: Only this user's.
            session: Only this session's.
            model: Only this model's answers.
            before: Only what was put before this instant.

        Returns:
            How many entries were deleted.

        Raises:
            CacheError: If nothing is named, or more than one of user, session and model.
            StoreUnavailable: If the store cannot be reached: nothing is sure to be deleted.
        """
        tag = self._owner_tag(tenant, user, session, model)
        if tag is None and before is None:
            raise CacheError("Name what to forget: tenant=, user=, session=, model= or before=.")
        tags = () if tag is None else (tag,)
        if before is not None:
            return self.store.delete(tags, before_s=before.timestamp())
        deleted = self.store.delete(tags)
        self.store.invalidate(tags)  # what is being made now is not kept, and what was kept since goes, too
        return deleted + self.store.delete(tags)

    def delete_all(self) -> int:
        """Delete everything in the store, for good, and say how many entries that were."""
        return self.store.delete()

    def _owner_tag(self, tenant: str | None, user: str | None, session: str | None, model: str | None) -> str | None:
        named = {"user": user, "session": session, "model": model}
        wanted = [(kind, name) for kind, name in named.items() if name is not None]
        if len(wanted) > 1:
            raise CacheError("Name one of user=, session= and model= at a time.")
        for kind, name in wanted:
            parts = (name,) if kind == "model" else (tenant, name)
            return keyed(kind, *parts, secret=self.secret)
        return None if tenant is None else keyed("tenant", tenant, secret=self.secret)

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
        except Exception as error:  # noqa: BLE001  # any store, any database: what is cached can be made anew
            self.fault("the cache is passed by, its store failed", error)
            return otherwise

    def unscoped(self) -> None:
        """Count a call that nobody can share, and say once what would change that."""
        self.count("refused_unscoped")
        self._tally.warn(
            "Nothing is cached: neither a tenant nor a session nor a LangGraph run is known here. Pass them with the "
            'call, config={"metadata": {"tenant": …, "session": …}}, or share with everybody: scope="global".'
        )

    def fault(self, what: str, error: Exception) -> None:
        """Count a fault of the cache, and warn about the first of each kind."""
        self._tally.fault(f"Caching: {what}", error)
