"""How entries reach the ledger, and what happens when they do not."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from langchain_agentcost.errors import AgentCostWarning, MeteringWarning, give_warning
from langchain_agentcost.ledger import Entry, Ledger

MAX_WAITING = 10_000
"""How many entries wait for a ledger that fails; beyond it the oldest are dropped and counted as lost."""

logger = logging.getLogger(__name__)


class Journal:
    """Writes entries to a ledger. A ledger that fails is warned about once, and its entries are tried again.

    Args:
        ledger: Where the entries go.
    """

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.lost = 0
        self._waiting: deque[Entry] = deque()
        self._warned: set[str] = set()

    def write(self, entry: Entry) -> None:
        """Append an entry, after those that wait. Never raises."""
        self._waiting.append(entry)
        self.flush()

    def flush(self) -> None:
        """Append what waits, oldest first, until the ledger fails or nothing is left. Never raises."""
        while self._waiting:
            try:
                entry = self._waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            try:
                self.ledger.append(entry)
            except OSError as error:  # a ledger that cannot be reached: StoreUnavailable is one too
                self._keep(entry)
                self.trouble("the ledger", error)
                return
            except Exception as error:  # noqa: BLE001  # an entry that no ledger would take must not hold up the others
                self.lost += 1
                self.trouble("the ledger", error)

    def close(self) -> None:
        """Flush, and say how many entries could not be written."""
        self.flush()
        missing = self.lost + len(self._waiting)
        if missing:
            give_warning(MeteringWarning(f"{missing} ledger entries could not be written to {self.ledger.url}."))

    @contextmanager
    def harmless(self, where: str) -> Iterator[None]:
        """Keep a fault of the meter away from the user's run."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the boundary between our faults and the user's run
            self.trouble(where, error)

    def trouble(self, where: str, error: BaseException) -> None:
        """Warn about a fault of the meter, once for each place and kind of fault."""
        fault = f"{where}: {type(error).__name__}"
        if fault in self._warned:
            return
        self._warned.add(fault)
        logger.debug("metering fault in %s", where, exc_info=error)
        give_warning(MeteringWarning(f"Metering failed in {where}, the run goes on: {type(error).__name__}: {error}"))

    def warn_once(self, subject: str, warning: AgentCostWarning) -> None:
        """Warn about a subject, once."""
        if subject not in self._warned:
            self._warned.add(subject)
            give_warning(warning)

    def _keep(self, entry: Entry) -> None:
        self._waiting.appendleft(entry)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.pop()
            self.lost += 1
