"""The vectors of a file's partitions, as far as this process has looked for something in them."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass

from langchain_agentcost.caching.stores.vectors import Vectors

_MOST = 256
"""How many partitions are held at most: those that were looked into last."""

_PAGE = 4_096

_NEW = """
SELECT number, vector FROM entry WHERE partition = ? AND number > ? AND vector IS NOT NULL ORDER BY number LIMIT ?
"""
_COUNT = "SELECT count(*) FROM entry WHERE partition = ? AND vector IS NOT NULL"


class Partitions:
    """Loads a partition when it is first looked into, and after that what is new in it, whoever put it there.

    What is gone from the file stays in an index until a search comes upon it, or it is half of what is there.
    """

    def __init__(self) -> None:
        self._loaded: OrderedDict[tuple[bytes, int], _Loaded] = OrderedDict()

    def vectors(self, db: sqlite3.Connection, partition: bytes, size: int) -> Vectors:
        """Give a partition's vectors of one size, as the open transaction sees them.

        Args:
            db: A connection in a transaction.
            partition: The partition, as the file has it.
            size: How many bytes a vector has.
        """
        at = partition, size
        loaded = self._loaded.pop(at, None) or _Loaded(Vectors(size))
        if loaded.is_crowded(db, partition):
            loaded = _Loaded(Vectors(size))
        loaded.read(db, partition, size)
        self._loaded[at] = loaded
        if len(self._loaded) > _MOST:
            self._loaded.popitem(last=False)
        return loaded.vectors

    def clear(self) -> None:
        """Let go of everything."""
        self._loaded.clear()


@dataclass(slots=True)
class _Loaded:
    """The vectors of a partition, the newest number seen, and how many vectors came since they were last counted."""

    vectors: Vectors
    last: int = 0
    uncounted: int = 0

    def read(self, db: sqlite3.Connection, partition: bytes, size: int) -> None:
        while True:
            rows = db.execute(_NEW, (partition, self.last, _PAGE)).fetchall()
            self.vectors.add({n: vector for n, vector in rows if isinstance(vector, bytes) and len(vector) == size})
            self.last = rows[-1][0] if rows else self.last
            self.uncounted += len(rows)
            if len(rows) < _PAGE:
                return

    def is_crowded(self, db: sqlite3.Connection, partition: bytes) -> bool:
        """Look whether most of the vectors are of entries that are gone; counting is put off until as many came."""
        if self.uncounted * 2 <= len(self.vectors):
            return False
        self.uncounted = 0
        (there,) = db.execute(_COUNT, (partition,)).fetchone()
        return len(self.vectors) > 2 * int(there) + _PAGE
