"""Where cached answers are kept: the seam behind which memory, SQLite and, later, Redis and PostgreSQL stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Cached:
    """One entry, as stores keep it. Stores neither read nor write what is in `value`.

    Args:
        partition: The hash inside which it may be found.
        key: The hash under which it is found exactly; unique in its partition.
        value: The answer, serialized.
        epoch: `CacheStore.epoch()` from before the answer was begun. An invalidation after that ends the entry, also
            one that comes before the entry is put.
        created_s: When it was put, in seconds since 1970.
        expires_s: From when on it is no longer served; None is never. Reading does not move it.
        stale_s: From when on it is served and renewed; None is never.
        tags: What ends it, and what it is deleted by: see `tag_of`.
        text: The text it is found by when a similar one is looked for; None where it is only found exactly.
        vector: That text's embedding, of length 1, as little-endian float32; None likewise.
    """

    partition: str
    key: str
    value: bytes
    epoch: int
    created_s: float
    expires_s: float | None = None
    stale_s: float | None = None
    tags: tuple[str, ...] = ()
    text: str | None = None
    vector: bytes | None = None


class Near(NamedTuple):
    """An entry found by its text, and the cosine between that text's vector and the one looked for."""

    entry: Cached
    similarity: float


class Audit(NamedTuple):
    """One would-be hit whose answer was compared with the model's own.

    Args:
        score: How sure the cache was.
        right: Whether the two answers served equally.
        at_s: When, in seconds since 1970.
    """

    score: float
    right: bool
    at_s: float


class Room(NamedTuple):
    """How much a store holds."""

    entries: int
    bytes: int


class CacheStore(Protocol):
    """Keeps entries, invalidations and audits. Every method is atomic, and may be called from any thread.

    An entry is live until it expires, a tag of it is invalidated at or after its epoch, it is removed, or the store is
    full and forgets what was not used for longest. A store gives live entries only, and raises `StoreUnavailable` where
    it cannot be reached.
    """

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        ...

    @property
    def waits(self) -> bool:
        """Whether it may wait, for a network or for another process that writes: async callers then use a thread."""
        ...

    def epoch(self) -> int:
        """Give the number of invalidations so far: take it before an answer is begun."""
        ...

    def get(self, partition: str, key: str, *, now_s: float) -> Cached | None:
        """Give the live entry with exactly this key."""
        ...

    def nearest(self, partition: str, vector: bytes, *, most: int, now_s: float) -> Sequence[Near]:
        """Give the live entries of a partition whose vectors are nearest, nearest first; equal ones oldest first."""
        ...

    def put(self, entry: Cached) -> bool:
        """Keep an entry in place of the one with its key; False where an invalidation since its epoch forbids it."""
        ...

    def remove(self, partition: str, key: str) -> bool:
        """Remove an entry; whether there was one."""
        ...

    def invalidate(self, tags: Iterable[str]) -> None:
        """End all entries with any of these tags, also those that are being made now and put later."""
        ...

    def delete(self, tags: Iterable[str] = (), *, before_s: float | None = None) -> int:
        """Delete for good: entries with any of the tags, or all where none is given; only those put before an instant.

        Returns:
            How many there were.
        """
        ...

    def add_audit(self, series: str, audit: Audit) -> None:
        """Remember an audit; the series is that of an error budget."""
        ...

    def audits(self, series: str, *, newest: int) -> Sequence[Audit]:
        """Give the newest audits of a series, oldest first."""
        ...

    def room(self) -> Room:
        """Give how much it holds."""
        ...

    def close(self) -> None:
        """Give up connections; the store cannot be used any more."""
        ...
