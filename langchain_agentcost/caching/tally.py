"""Counts of what happened, and calls of other people's code whose faults are counted instead of raised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from threading import Lock
from typing import TypeVar

from langchain_agentcost.errors import CacheWarning, Unreadable, give_warning

T = TypeVar("T")


class Tally:
    """Counts what happens, and warns once of each kind of thing that goes wrong."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: Counter[str] = Counter()
        self._warned: set[str] = set()

    @property
    def counts(self) -> dict[str, int]:
        """What happened so far, by name."""
        with self._lock:
            return dict(self._counts)

    def count(self, name: str, number: int = 1) -> None:
        """Count something."""
        if number:
            with self._lock:
                self._counts[name] += number

    def warn(self, what: str, because: str = "") -> None:
        """Warn of something, once.

        Args:
            what: What is warned of.
            because: The case at hand, which makes no other warning of it.
        """
        with self._lock:
            first = what not in self._warned
            self._warned.add(what)
        if first:
            give_warning(CacheWarning(what + because))

    def fault(self, what: str, error: Exception) -> None:
        """Count a fault, and warn about the first of each kind."""
        self.count("faults")
        self.warn(what, f": {type(error).__name__}: {error}")

    def safely(self, call: Callable[[], T], *, tell: bool = True) -> T | None:
        """Call somebody else's code.

        Args:
            call: The call.
            tell: Whether a fault is counted, and warned about once; False where the caller tries again.

        Returns:
            What it gives; None where it fails.
        """
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # any cache, any database: what is cached can be made anew
            self._failed(error, tell=tell)
            return None

    async def asafely(self, call: Callable[[], Awaitable[T]], *, tell: bool = True) -> T | None:
        """Call somebody else's async code; see `safely`."""
        try:
            return await call()
        except Exception as error:  # noqa: BLE001  # any cache, any database: what is cached can be made anew
            self._failed(error, tell=tell)
            return None

    def _failed(self, error: Exception, *, tell: bool) -> None:
        """Bytes that cannot be read are somebody's poison or an old version's; all else is a fault."""
        if tell and isinstance(error, Unreadable | NotImplementedError | ValueError):
            self.count("poisoned")
        elif tell:
            self.fault("Passed by, the cache behind failed", error)
