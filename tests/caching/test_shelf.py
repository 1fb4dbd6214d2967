"""What goes wrong in a store is a miss and a count, and never reaches the user's call."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from time import time
from typing import Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph

from langchain_agentcost.attribution import AttributionMap
from langchain_agentcost.caching.codec import load_json
from langchain_agentcost.caching.scope import Caller
from langchain_agentcost.caching.shelf import Shelf
from langchain_agentcost.caching.store import Audit, Cached
from langchain_agentcost.caching.stores import MemoryStore, SQLiteStore
from langchain_agentcost.caching.tags import owner_tags
from langchain_agentcost.errors import CacheError, CacheWarning, StoreUnavailable


class Away(MemoryStore):
    """A store that cannot be reached."""

    waits = True

    def epoch(self) -> int:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def get(self, partition: str, key: str, *, now_s: float) -> Cached | None:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def nearest(self, partition: str, vector: bytes, *, most: int, now_s: float) -> Any:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def put(self, entry: Cached) -> bool:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def remove(self, partition: str, key: str) -> bool:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def invalidate(self, tags: Iterable[str]) -> None:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def delete(self, tags: Iterable[str] = (), *, before_s: float | None = None) -> int:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def add_audit(self, series: str, audit: Audit) -> None:
        """Fail."""
        raise StoreUnavailable("nobody is there")

    def audits(self, series: str, *, newest: int) -> Any:
        """Fail."""
        raise StoreUnavailable("nobody is there")


class _State(TypedDict):
    a: int


def entry(value: bytes = b"1", **more: Any) -> Cached:
    """Give an entry."""
    return Cached(**{"partition": "p", "key": "k", "value": value, "epoch": 0, "created_s": time(), **more})


def test_a_store_that_is_away_is_a_miss_a_count_and_one_warning() -> None:
    """Seven uses are seven faults, and the user is told once."""
    shelf = Shelf(Away())
    with pytest.warns(CacheWarning, match="nobody is there") as told:  # noqa: PT031  # one warning for all of it
        assert shelf.epoch() is None
        assert shelf.get("p", "k", load_json) is None
        assert list(shelf.nearest("p", b"", most=1)) == []
        assert shelf.put(entry()) is False
        shelf.remove(entry())
        shelf.add_audit("s", Audit(1.0, right=True, at_s=0))
        assert list(shelf.audits("s", newest=1)) == []
    assert len(told) == 1
    assert shelf.counts["faults"] == 7


def test_what_is_not_ended_or_deleted_is_told() -> None:
    """A miss would be no answer there: the stale answer would go on being served."""
    shelf = Shelf(Away())
    with pytest.raises(StoreUnavailable):
        shelf.end(["t"])
    with pytest.raises(StoreUnavailable):
        shelf.forget(tenant="acme")
    with pytest.raises(StoreUnavailable):
        shelf.delete_all()


def test_a_poisoned_entry_is_a_miss_once_and_is_gone(tmp_path: Path) -> None:
    """Bytes that cannot be read are counted, and removed so that the next answer takes their place."""
    for store in (MemoryStore(), SQLiteStore(tmp_path / "cache.db")):
        shelf = Shelf(store)
        assert shelf.put(entry(b"\x80\x04}."))
        assert shelf.get("p", "k", load_json) is None
        assert shelf.get("p", "k", load_json) is None
        assert shelf.counts == {"poisoned": 1}
        assert shelf.put(entry(b'{"a":1}'))
        found = shelf.get("p", "k", load_json)
        assert found is not None
        assert found.value == {"a": 1}
        shelf.close()


def test_an_entry_of_before_an_invalidation_is_not_kept() -> None:
    """An answer that was begun before a write is not served after it."""
    shelf = Shelf()
    before = shelf.epoch()
    shelf.end(["t"])
    assert shelf.put(entry(epoch=before, tags=("t",))) is False
    assert shelf.get("p", "k", load_json) is None
    assert shelf.put(entry(epoch=shelf.epoch(), tags=("t",))) is True


@pytest.mark.parametrize("kept", ["memory", "sqlite"])
def test_only_whose_it_is_is_forgotten(kept: str, tmp_path: Path) -> None:
    """One tenant's user is forgotten, another tenant's user of the same name is not, and the count is right."""
    store = MemoryStore() if kept == "memory" else SQLiteStore(tmp_path / "cache.db")
    shelf = Shelf(store, secret=b"0123456789abcdef")
    for tenant in ("acme", "other"):
        tags = owner_tags(Caller(tenant=tenant, user="ann"), "user", secret=shelf.secret)
        assert shelf.put(entry(partition=tenant, tags=tags))
    assert shelf.forget(tenant="acme", user="ann") == 1
    assert shelf.forget(user="ann") == 0
    assert shelf.get("other", "k", load_json) is not None
    assert shelf.forget(tenant="other") == 1
    with pytest.raises(CacheError, match="Name what to forget"):
        shelf.forget()
    shelf.close()


def test_what_is_being_made_while_its_owner_is_forgotten_is_not_kept() -> None:
    """An answer that was begun before and is ready after is not stored."""
    shelf = Shelf()
    tags = owner_tags(Caller(tenant="acme"), "tenant")
    begun = shelf.epoch()
    assert shelf.forget(tenant="acme") == 0
    assert shelf.put(entry(epoch=begun, tags=tags)) is False


@pytest.mark.parametrize("waits", [True, False])
async def test_only_what_may_wait_is_done_in_a_thread(waits: bool) -> None:
    """A store in this process answers at once."""
    shelf = Shelf(Away() if waits else MemoryStore())
    assert (await shelf.off_loop(threading.get_ident) != threading.get_ident()) is waits


def test_the_caller_is_read_with_the_meters_table_and_the_run() -> None:
    """The user's own keys count, and in a graph the run is known."""
    shelf = Shelf(attribution=AttributionMap({"tenant": "customer"}))
    config: RunnableConfig = {"metadata": {"customer": "acme"}, "configurable": {"thread_id": "t"}}
    assert shelf.caller(config) == Caller(tenant="acme", session="t")
    seen: list[Caller] = []

    def look(state: _State) -> _State:
        seen.append(shelf.caller())
        return state

    StateGraph(_State).add_node("look", look).add_edge(START, "look").compile().invoke({"a": 1}, config)
    assert (seen[0].tenant, seen[0].session) == ("acme", "t")
    assert seen[0].run is not None


def test_counts_from_many_threads_add_up() -> None:
    """No count is lost, and what is given out is a copy."""
    shelf = Shelf()

    def count() -> None:
        for _ in range(500):
            shelf.count("hits")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shelf.counts["hits"] = 0
    assert shelf.counts == {"hits": 4_000}
