"""A mapping that forgets, so that a process can run for months."""

from __future__ import annotations

from contextlib import suppress
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

MAX_REMEMBERED = 10_000
"""How many items are remembered where nothing else is said."""


class Recent(Generic[K, V]):
    """A mapping of bounded size that forgets its oldest items. Every method is one step, so threads need no lock.

    Args:
        most: How many items are remembered.

    Example:
        >>> runs = Recent(most=2)
        >>> for number in (1, 2, 3):
        ...     runs.put(number, "run")
        >>> runs.get(1), runs.get(3), len(runs)
        (None, 'run', 2)
    """

    __slots__ = ("_items", "_most")

    def __init__(self, most: int = MAX_REMEMBERED) -> None:
        self._items: dict[K, V] = {}
        self._most = most

    def put(self, key: K, value: V) -> None:
        """Remember an item, and forget the oldest one where there are too many."""
        self._items[key] = value
        while len(self._items) > self._most:
            with suppress(RuntimeError, StopIteration):  # it changed while the oldest was looked for: look again
                self._items.pop(next(iter(self._items)), None)

    def get(self, key: K | None) -> V | None:
        """Give the item; None where it was never there or is forgotten."""
        return self._items.get(key) if key is not None else None

    def pop(self, key: K) -> V | None:
        """Take the item out; None where it was never there or is forgotten."""
        return self._items.pop(key, None)

    def values(self) -> list[V]:
        """Give what is remembered, oldest first."""
        return list(self._items.values())

    def __len__(self) -> int:
        """Say how many there are."""
        return len(self._items)
