"""What a cache store does, said as plainly as can be: a list, and arithmetic written out."""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum, sqrt
from struct import pack, unpack

from langchain_agentcost.caching.store import Audit, Cached


def unit(*numbers: float) -> bytes:
    """A vector of length 1, as stores keep it."""
    length = sqrt(sum(number * number for number in numbers)) or 1.0
    return pack(f"<{len(numbers)}f", *(number / length for number in numbers))


def cosine(one: bytes, other: bytes) -> float:
    """The cosine of two such vectors."""
    size = f"<{len(one) // 4}f"
    return fsum(a * b for a, b in zip(unpack(size, one), unpack(size, other), strict=True))


def entry(
    key: str,
    *,
    partition: str = "p",
    epoch: int = 0,
    tags: tuple[str, ...] = (),
    vector: bytes | None = None,
    created_s: float = 0.0,
    expires_s: float | None = None,
    value: bytes = b"an answer",
) -> Cached:
    """An entry of which only what matters is said."""
    text = None if vector is None else f"text of {key}"
    return Cached(
        partition=partition,
        key=key,
        value=value,
        epoch=epoch,
        created_s=created_s,
        expires_s=expires_s,
        stale_s=None if expires_s is None else expires_s - 1,
        tags=tags,
        text=text,
        vector=vector,
    )


class Model:
    """A store without bounds: entries in the order in which they were put, and all invalidations there ever were."""

    def __init__(self) -> None:
        self.entries: list[Cached] = []
        self.invalidations: list[frozenset[str]] = []
        self.audits: dict[str, list[Audit]] = {}

    def live(self, now_s: float) -> list[Cached]:
        """What may be served."""
        return [one for one in self.entries if one.expires_s is None or now_s < one.expires_s]

    def get(self, partition: str, key: str, now_s: float) -> Cached | None:
        """The live entry of that name."""
        found = [one for one in self.live(now_s) if (one.partition, one.key) == (partition, key)]
        return found[0] if found else None

    def nearest(self, partition: str, vector: bytes, most: int, now_s: float) -> list[str]:
        """The keys of the nearest, by comparing with every one; sorting keeps the oldest first."""
        there = [
            (one.key, cosine(one.vector, vector))
            for one in self.live(now_s)
            if one.partition == partition and one.vector and len(one.vector) == len(vector)
        ]
        return [key for key, _ in sorted(there, key=lambda pair: -round(pair[1], 5))][:most]

    def put(self, new: Cached) -> bool:
        """Keep an entry, unless a tag of it was invalidated since it was begun."""
        if any(tags & set(new.tags) for tags in self.invalidations[new.epoch :]):
            return False
        self.remove(new.partition, new.key)
        self.entries.append(new)
        return True

    def remove(self, partition: str, key: str) -> bool:
        """Remove by name."""
        return self._keep([one for one in self.entries if (one.partition, one.key) != (partition, key)]) > 0

    def invalidate(self, tags: Iterable[str]) -> None:
        """End what has a tag."""
        wanted = frozenset(tags)
        self.invalidations.append(wanted)
        self._keep([one for one in self.entries if not wanted & set(one.tags)])

    def delete(self, tags: Iterable[str], before_s: float | None) -> int:
        """Remove what has a tag, or all, of a certain age."""
        wanted = set(tags)

        def goes(one: Cached) -> bool:
            return (not wanted or bool(wanted & set(one.tags))) and (before_s is None or one.created_s < before_s)

        return self._keep([one for one in self.entries if not goes(one)])

    def _keep(self, left: list[Cached]) -> int:
        gone = len(self.entries) - len(left)
        self.entries = left
        return gone
