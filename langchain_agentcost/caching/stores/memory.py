"""A store in memory: as fast as it gets, gone with the process."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from threading import RLock
from typing import NamedTuple, Self

from langchain_agentcost.caching.store import Audit, Cached, Near, Room
from langchain_agentcost.caching.stores.marks import Marks
from langchain_agentcost.caching.stores.vectors import Vectors, is_usable
from langchain_agentcost.caching.stores.weight import MOST_AUDITS, MOST_SERIES, weight
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.fork import rest_at_fork

_Place = tuple[str, str]
"""A partition and a key in it."""


class MemoryStore:
    """Keeps entries in this process, the least recently used of which are forgotten when it is full.

    Args:
        max_entries: How many entries are kept at most, in all partitions together.
        max_bytes: How much they may take, by estimate.

    Example:
        >>> store = MemoryStore()
        >>> entry = Cached(partition="p", key="k", value=b"42", epoch=store.epoch(), created_s=0)
        >>> store.put(entry), store.get("p", "k", now_s=1).value
        (True, b'42')
    """

    url = "memory://"
    waits = False

    def __init__(self, *, max_entries: int = 100_000, max_bytes: int = 1_000_000_000) -> None:
        self._most = Room(max_entries, max_bytes)
        self._lock = RLock()
        self._marks = Marks()
        self._entries: OrderedDict[_Place, _Kept] = OrderedDict()
        self._places: dict[int, _Place] = {}
        self._vectors: dict[tuple[str, int], Vectors] = {}
        self._tagged: defaultdict[str, set[_Place]] = defaultdict(set)
        self._ends: list[tuple[float, int]] = []
        self._audits: OrderedDict[str, deque[Audit]] = OrderedDict()
        self._number = 0
        self._bytes = 0
        self._closed = False
        rest_at_fork(self)

    def epoch(self) -> int:
        """Give the number of invalidations so far; see `CacheStore.epoch`."""
        with self._opened():
            return self._marks.epoch

    def get(self, partition: str, key: str, *, now_s: float) -> Cached | None:
        """Give the live entry with exactly this key."""
        with self._opened():
            kept = self._entries.get((partition, key))
            if kept is None or kept.ended(now_s):
                return None
            self._entries.move_to_end((partition, key))
            return kept.entry

    def nearest(self, partition: str, vector: bytes, *, most: int, now_s: float) -> Sequence[Near]:
        """Give the live entries with the nearest vectors; see `CacheStore.nearest`. Counts as a use of the nearest."""
        if most < 1 or not is_usable(vector):
            return ()
        with self._opened():
            vectors = self._vectors.get((partition, len(vector)))
            if vectors is None:
                return ()
            found = vectors.nearest(vector, most=most, whole=lambda numbers: self._whole(numbers, now_s))
            if found:
                self._entries.move_to_end(self._places[found[0][0]])
            return [Near(self._entries[self._places[number]].entry, cosine) for number, cosine in found]

    def put(self, entry: Cached) -> bool:
        """Keep an entry; see `CacheStore.put`. One that would fill the store alone is not kept either."""
        size, searched = weight(entry), is_usable(entry.vector)
        with self._opened():
            self._drop_ended(entry.created_s)
            if self._marks.forbid(entry.tags, entry.epoch) or size > self._most.bytes or self._most.entries < 1:
                return False
            self._drop((entry.partition, entry.key))
            vectors = self._index(entry.partition, entry.vector) if searched else None
            self._number += 1
            self._keep(_Kept(entry, self._number, size, vectors))
            while len(self._entries) > self._most.entries or self._bytes > self._most.bytes:
                self._drop(next(iter(self._entries)))
            return True

    def remove(self, partition: str, key: str) -> bool:
        """Remove an entry; whether there was one."""
        with self._opened():
            return self._drop((partition, key))

    def invalidate(self, tags: Iterable[str]) -> None:
        """End all entries with any of these tags; see `CacheStore.invalidate`."""
        wanted = set(tags)
        with self._opened():
            self._marks.add(wanted)
            for place in self._with(wanted):
                self._drop(place)

    def delete(self, tags: Iterable[str] = (), *, before_s: float | None = None) -> int:
        """Delete for good; see `CacheStore.delete`."""
        wanted = set(tags)
        with self._opened():
            places = self._with(wanted) if wanted else list(self._entries)
            return sum(
                self._drop(place)
                for place in places
                if before_s is None or self._entries[place].entry.created_s < before_s
            )

    def add_audit(self, series: str, audit: Audit) -> None:
        """Remember an audit."""
        with self._opened():
            self._audits.setdefault(series, deque(maxlen=MOST_AUDITS)).append(audit)
            self._audits.move_to_end(series)
            if len(self._audits) > MOST_SERIES:
                self._audits.popitem(last=False)

    def audits(self, series: str, *, newest: int) -> Sequence[Audit]:
        """Give the newest audits of a series, oldest first."""
        with self._opened():
            return list(self._audits.get(series, ()))[-newest:] if newest > 0 else []

    def room(self) -> Room:
        """Give how much it holds, ended entries that are not cleared away yet included."""
        with self._opened():
            return Room(len(self._entries), self._bytes)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._entries.clear()
            self._places.clear()
            self._vectors.clear()
            self._tagged.clear()
            self._audits.clear()

    def __enter__(self) -> Self:
        """Use the store for a block."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self.close()

    def hold(self) -> None:
        """Let nobody in while the process forks: a child would wait for ever for a thread that it does not have."""
        self._lock.acquire()

    def resume(self) -> None:
        """Let others in again, in the parent and in the child."""
        self._lock.release()

    def _opened(self) -> RLock:
        if self._closed:
            raise StoreUnavailable("The cache store in memory was closed; open a new one.")
        return self._lock

    def _whole(self, numbers: Iterable[int], now_s: float) -> Mapping[int, bytes]:
        places = ((number, self._places.get(number)) for number in numbers)
        kept = [self._entries[place] for _, place in places if place is not None]
        return {one.number: one.entry.vector or b"" for one in kept if not one.ended(now_s)}

    def _index(self, partition: str, vector: bytes | None) -> Vectors:
        at = partition, len(vector or b"")
        if at not in self._vectors:
            self._vectors[at] = Vectors(at[1])
        return self._vectors[at]

    def _keep(self, kept: _Kept) -> None:
        place = kept.entry.partition, kept.entry.key
        self._entries[place] = kept
        self._bytes += kept.size
        for tag in kept.entry.tags:
            self._tagged[tag].add(place)
        if kept.entry.expires_s is not None:
            heappush(self._ends, (kept.entry.expires_s, kept.number))
        self._places[kept.number] = place
        if kept.vectors is not None:
            kept.vectors.add({kept.number: kept.entry.vector or b""})

    def _drop(self, place: _Place) -> bool:
        kept = self._entries.pop(place, None)
        if kept is None:
            return False
        self._bytes -= kept.size
        del self._places[kept.number]
        for tag in kept.entry.tags:
            self._tagged[tag].discard(place)
            if not self._tagged[tag]:
                del self._tagged[tag]
        if kept.vectors is not None:
            kept.vectors.discard(kept.number)
            if not len(kept.vectors):
                self._vectors.pop((place[0], len(kept.entry.vector or b"")), None)
        return True

    def _drop_ended(self, now_s: float) -> None:
        """Clear away what has ended, and the ends of what was dropped before its time."""
        while self._ends and self._ends[0][0] <= now_s:
            place = self._places.get(heappop(self._ends)[1])
            if place is not None:
                self._drop(place)
        if len(self._ends) > 2 * len(self._entries) + 100:
            self._ends = [end for end in self._ends if end[1] in self._places]
            heapify(self._ends)

    def _with(self, tags: Iterable[str]) -> list[_Place]:
        return list({place for tag in tags for place in self._tagged.get(tag, ())})


class _Kept(NamedTuple):
    """An entry, the number under which its vector is found, and what it weighs."""

    entry: Cached
    number: int
    size: int
    vectors: Vectors | None

    def ended(self, now_s: float) -> bool:
        return self.entry.expires_s is not None and self.entry.expires_s <= now_s
