"""The ledger: every event once, for as long as you want, in a file of your own.

`open_ledger` takes a URL; `Ledger` is what every back end does; `Entry` is one line.
"""

from __future__ import annotations

from pathlib import Path

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger.base import Ledger, Total
from langchain_agentcost.ledger.entry import Entry, InputSplit, event_id
from langchain_agentcost.ledger.memory import MemoryLedger
from langchain_agentcost.ledger.sqlite import SQLiteLedger

__all__ = [
    "Entry",
    "InputSplit",
    "Ledger",
    "MemoryLedger",
    "SQLiteLedger",
    "Total",
    "event_id",
    "open_ledger",
]


def open_ledger(url: str | Path, *, create: bool = True) -> Ledger:
    """Open a ledger.

    Args:
        url: "memory://", "sqlite:///relative/file.db", "sqlite:////absolute/file.db" or the path of a SQLite ledger.
        create: False to refuse where there is no ledger yet, for commands that only read.

    Returns:
        The ledger, ready to write.

    Raises:
        StoreUnavailable: If the scheme is unknown or the ledger cannot be used, and why.

    Example:
        >>> open_ledger("memory://").totals()
        ()
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return SQLiteLedger(url, create=create)
    if scheme == "memory" and not rest:
        return MemoryLedger()
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return SQLiteLedger(rest[1:], create=create)
    raise StoreUnavailable(
        f"No ledger can be opened at {str(url)[:200]!r}; use memory:// or sqlite:///path/to/file.db."
    )
