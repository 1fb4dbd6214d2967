"""The stores that caches can keep their entries in, by URL."""

from __future__ import annotations

from pathlib import Path

from langchain_agentcost.caching.store import CacheStore
from langchain_agentcost.caching.stores.memory import MemoryStore
from langchain_agentcost.caching.stores.sqlite import SQLiteStore
from langchain_agentcost.errors import StoreUnavailable

__all__ = ["MemoryStore", "SQLiteStore", "open_cache_store"]


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
    scheme, separator, rest = str(url).partition("://")
    if not separator:
        return SQLiteStore(url, create=create)
    if scheme == "memory" and not rest:
        return MemoryStore()
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return SQLiteStore(rest[1:], create=create)
    raise StoreUnavailable(f"No cache store is known for {scheme}://; use memory:// or sqlite:///path/to/file.db.")
