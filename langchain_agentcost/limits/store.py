"""Opening a budget store by its URL."""

from __future__ import annotations

from pathlib import Path

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.limits.holds import BudgetStore
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore


def open_store(url: str | Path, *, create: bool = True) -> BudgetStore:
    """Open a budget store.

    Args:
        url: "memory://", "sqlite:///relative/file.db", "sqlite:////absolute/file.db" or the path of a SQLite store.
        create: False to refuse where there is no store yet, for commands that only read or change one.

    Returns:
        The store, ready to reserve from.

    Raises:
        StoreUnavailable: If the scheme is unknown or the store cannot be used, and why.

    Example:
        >>> open_store("memory://").accounts()
        ()
    """
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return SQLiteBudgetStore(url, create=create)
    if scheme == "memory" and not rest:
        return MemoryBudgetStore()
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return SQLiteBudgetStore(rest[1:], create=create)
    raise StoreUnavailable(f"No budget store is known for {scheme}://; use memory:// or sqlite:///path/to/file.db.")


def store_beside(ledger_url: str) -> str:
    """The URL of the budget store that belongs to a ledger: a file beside it, memory where the ledger is in memory.

    Example:
        >>> store_beside("sqlite:////var/lib/costs.db"), store_beside("memory://")
        ('sqlite:////var/lib/costs.budgets.db', 'memory://')
    """
    if not ledger_url.startswith("sqlite:///"):
        return "memory://"
    path = Path(ledger_url.removeprefix("sqlite:///"))
    return f"sqlite:///{path.with_name(f'{path.stem}.budgets.db')}"
