"""Runs whose pieces come in mixed with those of other runs, put together in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

MAX_OPEN = 1000
"""How many runs may be open at once."""

MAX_CHARS = 128 * 2**20
"""How many characters all of them may hold."""


class Gathered(Protocol):
    """A run that is being put together."""

    @property
    def size(self) -> int:
        """How much it holds, in characters."""
        ...


R = TypeVar("R", bound=Gathered)


class Gathering(Generic[R]):
    """The runs that are open.

    There is nothing in an export that says that a run is complete. So all are held, and when there are more than
    `most`, or they hold more than `chars`, the one to which nothing was added for longest is complete. Of a run that
    was completed only the id is remembered.

    Args:
        make: Makes a run of its id.
        most: How many may be open.
        chars: How many characters they may hold together. One run is held whatever its size.
    """

    def __init__(self, make: Callable[[str], R], *, most: int = MAX_OPEN, chars: int = MAX_CHARS) -> None:
        self._make = make
        self._most = most
        self._chars = chars
        self._open: dict[str, R] = {}
        self._completed: set[str] = set()
        self._held = 0

    def take(self, key: str) -> R | None:
        """Take out a run to add to, a new one where it is not open; None where it was completed before."""
        if key in self._completed:
            return None
        run = self._open.pop(key, None)
        if run is None:
            return self._make(key)
        self._held -= run.size
        return run

    def put(self, key: str, run: R) -> Iterator[R]:
        """Put a run back.

        Yields:
            The runs that are complete.
        """
        self._open[key] = run
        self._held += run.size
        while len(self._open) > 1 and (len(self._open) > self._most or self._held > self._chars):
            oldest = next(iter(self._open))
            complete = self._open.pop(oldest)
            self._held -= complete.size
            self._completed.add(oldest)
            yield complete

    def rest(self) -> Iterator[R]:
        """Give all that are left, at the end, each once."""
        while self._open:
            yield self._open.pop(next(iter(self._open)))
