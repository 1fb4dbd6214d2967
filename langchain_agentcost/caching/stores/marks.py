"""Which tags were invalidated, and when in the row of invalidations."""

from __future__ import annotations

from collections.abc import Iterable

MOST_MARKS = 10_000
"""How many tags a store remembers as invalidated.

An invalidation removes what is there, so marks only concern answers that were under way at the time.
"""


class Marks:
    """Remembers the latest invalidation of each tag, and of the oldest only that there were some.

    Args:
        most: How many tags are remembered.

    Example:
        >>> marks = Marks()
        >>> before = marks.epoch
        >>> marks.add(["orders:7"])
        >>> marks.forbid(["orders:7"], before), marks.forbid(["orders:7"], marks.epoch), marks.forbid(["b"], before)
        (True, False, False)
    """

    def __init__(self, *, most: int = MOST_MARKS) -> None:
        self.epoch = 0
        self._most = most
        self._floor = 0
        self._marks: dict[str, int] = {}

    def add(self, tags: Iterable[str]) -> None:
        """Count an invalidation and mark its tags."""
        self.epoch += 1
        for tag in tags:
            self._marks.pop(tag, None)  # so that the oldest mark comes first
            self._marks[tag] = self.epoch
        while len(self._marks) > self._most:
            self._floor = self._marks.pop(next(iter(self._marks)))

    def forbid(self, tags: Iterable[str], epoch: int) -> bool:
        """Say whether an answer with these tags that was begun at an epoch is out of date.

        What was begun before an invalidation that is forgotten counts as out of date, whatever its tags are.
        """
        return any(self._marks.get(tag, self._floor) > epoch for tag in tags)
