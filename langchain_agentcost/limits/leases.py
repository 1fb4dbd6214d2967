"""Keeping leases alive while calls are under way."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Collection
from threading import Condition, Thread, current_thread

from langchain_agentcost.ledger.fork import rest_at_fork
from langchain_agentcost.limits.holds import BudgetStore

_LOG = logging.getLogger(__name__)

KEEP_FINISHED_S = 7 * 86_400.0
"""Holds that finished longer ago are forgotten: nobody settles a call a week late."""

_PRUNE_EVERY_S = 3600.0


class Leases:
    """Renews open holds from one daemon thread, which runs while there is something to renew.

    While it is at it, it expires what processes that died left behind, and now and then forgets old holds. A forked
    child has a thread of its own and renews only what it was given itself. What fails in the thread is logged.

    Args:
        store: Where the holds are.
        ttl_s: How long a lease lasts, in seconds; each is renewed three times in it.

    Example:
        >>> from langchain_agentcost.limits.memory import MemoryBudgetStore
        >>> leases = Leases(MemoryBudgetStore())
        >>> leases.keep("h1")
        >>> leases.close()
    """

    def __init__(self, store: BudgetStore, *, ttl_s: float = 60.0) -> None:
        self.store = store
        self.ttl_s = ttl_s
        self._changed = Condition()
        self._kept: set[str] = set()
        self._thread: Thread | None = None
        self._process = os.getpid()
        self._pruned_at_s = time.monotonic()
        self._closed = False
        rest_at_fork(self)

    def keep(self, hold_id: str) -> None:
        """Renew a hold until it is dropped, or until the store says that it is finished."""
        with self._changed:
            if self._closed:
                return
            self._kept.add(hold_id)
            if self._thread is None:
                thread = Thread(target=self._run, name="agentcost-leases", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more threads, or the interpreter ends: the next call tries again
                    _LOG.warning("The thread that renews leases could not be started.", exc_info=True)
                    return
                self._thread = thread

    def drop(self, hold_id: str) -> None:
        """Stop renewing a hold."""
        with self._changed:
            self._kept.discard(hold_id)

    def close(self) -> None:
        """Stop renewing, and wait for the thread to end. Closing twice is harmless."""
        with self._changed:
            self._closed = True
            self._kept.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not current_thread():
            thread.join()

    def hold(self) -> None:
        """Wait for other threads before this process forks."""
        self._changed.acquire()

    def resume(self) -> None:
        """Go on after the fork; a child has neither the thread nor the calls of its parent."""
        if self._process != os.getpid():
            self._process, self._thread = os.getpid(), None
            self._kept.clear()
        self._changed.release()

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._closed:
                    self._changed.wait(self.ttl_s / 3)
                kept = tuple(self._kept)
                if self._closed or not (kept or self._prune_is_due()):
                    self._thread = None
                    return
            try:
                self._renew(kept)
            except Exception:  # noqa: BLE001  # nobody else hears of what fails in this thread, and the next time may do
                _LOG.warning("Leases of %d calls under way could not be renewed.", len(kept), exc_info=True)

    def _renew(self, kept: Collection[str]) -> None:
        prunes = self._prune_is_due()
        if prunes:  # noted first: where the store fails, that alone keeps no thread alive
            self._pruned_at_s = time.monotonic()
        for hold_id in kept:
            if not self.store.extend(hold_id, ttl_s=self.ttl_s):
                self.drop(hold_id)
        self.store.sweep()
        if prunes:
            self.store.prune(older_than_s=KEEP_FINISHED_S)

    def _prune_is_due(self) -> bool:
        return time.monotonic() - self._pruned_at_s > _PRUNE_EVERY_S
