from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from langgraph.store.base import BaseStore
from langgraph.store.memory import InMemoryStore
from langgraph.store.sqlite import SqliteStore

from langchain_agentcost.context.references import shelf as shelf_module
from langchain_agentcost.context.references.shelf import Shelf

OURS, THEIRS = ("acme", "t1"), ("acme", "t2")


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BaseStore]:
    """Both stores that are installed."""
    if request.param == "memory":
        yield InMemoryStore()
        return
    with SqliteStore.from_conn_string(str(tmp_path / "store.db")) as opened:
        opened.setup()
        yield opened


def test_a_text_comes_back_to_the_letter(store: BaseStore) -> None:
    """With the tool that gave it, under a short reference."""
    shelf = Shelf(store)
    ref = shelf.put(OURS, "Größe: 10\r\n\x00 日本", tool="read_log")
    assert ref is not None
    assert len(ref) == 8
    kept = shelf.get(OURS, ref)
    assert kept is not None
    assert (kept.text, kept.tool) == ("Größe: 10\r\n\x00 日本", "read_log")


async def test_async_gives_the_same(store: BaseStore) -> None:
    """What sync code has put there async code reads, under the same reference, and the other way round."""
    shelf = Shelf(store)
    ref = await shelf.aput(OURS, "text")
    assert ref == shelf.put(OURS, "text")
    assert await shelf.aget(OURS, str(ref)) == shelf.get(OURS, str(ref))
    assert await shelf.aget(OURS, "aaaaaaaa") is None


def test_a_namespace_sees_its_own_only(store: BaseStore) -> None:
    """The same text has another reference elsewhere, and no reference opens another namespace."""
    shelf = Shelf(store)
    ref = shelf.put(OURS, "text")
    assert ref is not None
    assert shelf.get(THEIRS, ref) is None
    assert shelf.put(THEIRS, "text") != ref


def test_the_same_text_is_kept_once(store: BaseStore) -> None:
    """It has one reference and counts once."""
    shelf = Shelf(store)
    assert shelf.put(OURS, "text") == shelf.put(OURS, "text")
    assert shelf.bytes_kept == 4


def test_the_oldest_goes_where_there_is_too_much(store: BaseStore) -> None:
    """The cap is in bytes; a text that is put again is young again."""
    shelf = Shelf(store, max_bytes=10)
    first, second = shelf.put(OURS, "aaaa"), shelf.put(OURS, "bbbb")
    shelf.put(OURS, "aaaa")
    third = shelf.put(THEIRS, "cccc")
    assert shelf.get(OURS, str(second)) is None
    assert shelf.get(OURS, str(first)) is not None
    assert shelf.get(THEIRS, str(third)) is not None
    assert shelf.bytes_kept == 8
    assert shelf.put(OURS, "ä" * 6) is None


async def test_the_cap_holds_in_async_code(store: BaseStore) -> None:
    """The same in async code."""
    shelf = Shelf(store, max_bytes=5)
    first = await shelf.aput(OURS, "aaaa")
    await shelf.aput(OURS, "bbbb")
    assert await shelf.aget(OURS, str(first)) is None
    assert await shelf.aput(OURS, "x" * 6) is None


async def test_an_old_text_is_gone(store: BaseStore) -> None:
    """After its time it is not found and is deleted, whether or not the store has lifetimes of its own."""
    now = [1000.0]
    shelf = Shelf(store, ttl_s=60, clock=lambda: now[0])
    ref, other = str(shelf.put(OURS, "text")), str(shelf.put(OURS, "other"))
    now[0] += 60
    assert shelf.get(OURS, ref) is not None
    now[0] += 1
    assert shelf.get(OURS, ref) is None
    assert await shelf.aget(OURS, other) is None
    assert store.get(OURS, ref) is None
    assert shelf.bytes_kept == 0


def test_a_text_that_comes_again_lives_anew(store: BaseStore) -> None:
    """Its time begins with the last time that it was put there."""
    now = [1000.0]
    shelf = Shelf(store, ttl_s=60, clock=lambda: now[0])
    shelf.put(OURS, "text")
    now[0] += 50
    ref = str(shelf.put(OURS, "text"))
    now[0] += 50
    assert shelf.get(OURS, ref) is not None


def test_two_texts_never_share_a_reference(store: BaseStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another text has the same first characters of its hash, more of them make the reference."""
    full = {"one": "aaaaaaaabb", "two": "aaaaaaaacc"}
    monkeypatch.setattr(shelf_module, "_refs", lambda _, text: [full[text][:8], full[text]])
    shelf = Shelf(store)
    assert [shelf.put(OURS, "one"), shelf.put(OURS, "two")] == ["aaaaaaaa", "aaaaaaaacc"]
    assert shelf.put(OURS, "two") == "aaaaaaaacc"


def test_what_is_not_ours_is_not_read(store: BaseStore) -> None:
    """An item that somebody else has put under that name is no text of ours."""
    store.put(OURS, "aaaaaaaa", {"text": 7})
    assert Shelf(store).get(OURS, "aaaaaaaa") is None


def test_threads_share_a_shelf() -> None:
    """The cap holds and every text that is still counted can be read."""
    store = InMemoryStore()
    shelf = Shelf(store, max_bytes=400)
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda n: shelf.put(OURS, f"{n:04}"), range(500)))
    readable = [ref for ref in refs if shelf.get(OURS, str(ref)) is not None]
    assert shelf.bytes_kept == 400
    assert len(readable) >= 100
