"""What a cache file survives: several processes, forks, kills, deletion for good, other files and damage."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import signal
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from langchain_agentcost.caching.store import Audit, CacheStore
from langchain_agentcost.caching.stores import MemoryStore, SQLiteStore, open_cache_store
from langchain_agentcost.caching.stores.tables import CACHE
from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger import open_ledger
from langchain_agentcost.ledger.kind import noun_of
from tests.caching.store_model import entry, unit

FORK = multiprocessing.get_context("fork")
SPAWN = multiprocessing.get_context("spawn")


def in_child(work: Callable[..., object], *given: object, context: multiprocessing.context.BaseContext = FORK) -> None:
    """Run something in another process."""
    process = context.Process(target=work, args=given)  # type: ignore[attr-defined]
    process.start()
    process.join(60)
    process.kill()  # where it hangs, the test fails and does not hang too
    assert process.exitcode == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a cache may be."""
    return tmp_path / "cache.db"


@pytest.fixture
def store(path: Path) -> Iterator[SQLiteStore]:
    """A cache in a file."""
    with SQLiteStore(path) as opened:
        yield opened


def fill(store: CacheStore, start: int, number: int) -> None:
    """Put entries of a few tags, each with a vector of its own."""
    for n in range(start, start + number):
        store.put(entry(f"k{n}", epoch=store.epoch(), tags=(f"t{n % 3}",), vector=unit(n, 1, 2)))


def test_a_loaded_partition_keeps_up_with_other_processes(store: SQLiteStore) -> None:
    """What another process puts, replaces and removes is found, or not, by a process that has loaded the partition."""
    fill(store, 0, 3)
    assert len(store.nearest("p", unit(1, 1, 1), most=9, now_s=1)) == 3
    in_child(fill, store, 3, 2)
    in_child(store.remove, "p", "k0")
    in_child(store.put, entry("k1", vector=unit(0, 0, 1)))
    found = store.nearest("p", unit(0, 0, 1), most=9, now_s=1)
    assert found[0].entry.key == "k1"
    assert sorted(near.entry.key for near in found) == ["k1", "k2", "k3", "k4"]


def test_an_index_forgets_what_others_removed(store: SQLiteStore) -> None:
    """A process that only searches does not hold the vectors of all that ever was in a partition."""
    with SQLiteStore(store.path, max_entries=200) as other:
        for n in range(12_000):
            other.put(entry(f"k{n}", vector=unit(n, 1)))
            if n % 500 == 0:
                store.nearest("p", unit(1, 0), most=1, now_s=1)
    (loaded,) = store._partitions._loaded.values()
    assert len(loaded.vectors) < 6_000
    assert len(store.nearest("p", unit(1, 0), most=300, now_s=1)) == 200


def test_a_write_in_another_process_ends_an_answer_under_way(store: SQLiteStore) -> None:
    """An answer begun here is refused when another process invalidated its tag meanwhile."""
    begun = store.epoch()
    in_child(store.invalidate, ["orders"])
    assert not store.put(entry("k", epoch=begun, tags=("orders",)))


def test_processes_at_once_lose_nothing(store: SQLiteStore) -> None:
    """Four processes that put at once keep every entry, and the counts are those of the rows."""
    workers = [FORK.Process(target=fill, args=(store, start, 50)) for start in range(0, 200, 50)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert store.room().entries == sum(store.get("p", f"k{n}", now_s=1) is not None for n in range(200)) == 200


@pytest.mark.parametrize("kind", [MemoryStore, lambda: None], ids=["memory", "sqlite"])
def test_a_fork_while_others_use_the_store_goes_on(kind: Callable[[], CacheStore | None], store: SQLiteStore) -> None:
    """A child that is forked while threads are in the middle of things can use the store, and so can the parent."""
    used = kind() or store
    fill(used, 0, 5)
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            used.put(entry("busy", epoch=used.epoch(), vector=unit(5, 5, 5)))
            used.nearest("p", unit(1, 2, 3), most=3, now_s=1)

    def look() -> None:
        assert len(used.nearest("p", unit(1, 2, 3), most=9, now_s=1)) >= 5
        used.put(entry("child"))
        assert used.get("p", "child", now_s=1) is not None

    threads = [threading.Thread(target=go_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            in_child(look)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert (used.get("p", "child", now_s=1) is not None) == (used is store)


def test_a_spawned_process_opens_the_same_file(path: Path) -> None:
    """A store that is sent to another process opens the file there, with the same bounds."""
    with SQLiteStore(path, max_entries=2) as store:
        in_child(fill, store, 0, 5, context=SPAWN)
        assert store.room().entries == 2
        again = pickle.loads(pickle.dumps(store))  # noqa: S301  # ours, made a moment ago
        assert again.get("p", "k4", now_s=1) == store.get("p", "k4", now_s=1) is not None
        again.close()


def test_a_kill_leaves_whole_entries(path: Path) -> None:
    """After kill -9 at any moment the file is sound, and rows, tags and counts belong together."""
    for attempt in range(4):
        with SQLiteStore(path, max_entries=40) as store:
            worker = FORK.Process(target=fill, args=(store, attempt * 1000, 100_000))
            worker.start()
            time.sleep(0.15 + 0.07 * attempt)
            os.kill(worker.pid or 0, signal.SIGKILL)
            worker.join()
            connection = sqlite3.connect(path)
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = connection.execute("SELECT count(*), ifnull(sum(size), 0) FROM entry").fetchone()
            tags = connection.execute("SELECT count(*) FROM tag WHERE number IN (SELECT number FROM entry)").fetchone()
            assert rows == store.room()
            assert tags == connection.execute("SELECT count(*) FROM tag").fetchone() == (rows[0],)
            connection.close()


def test_it_is_there_after_a_restart(path: Path) -> None:
    """Entries, invalidations and audits outlast the process."""
    with SQLiteStore(path) as store:
        store.invalidate(["t"])
        store.put(entry("k", epoch=1, tags=("t",), vector=unit(1, 2)))
        store.add_audit("s", Audit(0.9, right=True, at_s=2))
    with open_cache_store(path, create=False) as store:  # type: ignore[attr-defined]
        assert store.epoch() == 1
        assert not store.put(entry("late", epoch=0, tags=("t",)))
        assert [near.entry.key for near in store.nearest("p", unit(1, 2), most=1, now_s=1)] == ["k"]
        assert store.audits("s", newest=5) == [Audit(0.9, right=True, at_s=2)]


@pytest.mark.parametrize("how", ["delete", "delete all", "remove", "invalidate", "replace", "forget"])
def test_what_is_deleted_is_in_no_file(how: str, path: Path) -> None:
    """After a deletion no file holds a word of what was there, also of what had gone before by other ways."""
    secret = b"the question of a person who wants to be forgotten "
    with SQLiteStore(path, max_entries=3) as store:
        for key in ("a", "b"):
            store.put(entry(key, tags=("ann",), value=secret * 100, vector=unit(1, 2)))
        ways: dict[str, Callable[[], object]] = {
            "remove": lambda: [store.remove("p", key) for key in ("a", "b")],
            "invalidate": lambda: store.invalidate(["ann"]),
            "replace": lambda: [store.put(entry(key, value=b"")) for key in ("a", "b")],
            "forget": lambda: [store.put(entry(f"new{n}", created_s=1)) for n in range(3)],
            "delete all": store.delete,
        }
        ways.get(how, lambda: None)()
        store.delete(["ann"])
        held = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert b"person" not in held
        assert unit(1, 2) not in held


def test_only_its_owner_may_read_it(store: SQLiteStore, path: Path) -> None:
    """The file and its companions are readable by their owner only, and say what they are."""
    fill(store, 0, 3)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert noun_of(path) == CACHE.noun == "cache"


def test_other_files_are_left_alone(path: Path, store: SQLiteStore) -> None:
    """A ledger is no cache, a cache no ledger, and neither is changed by the attempt."""
    ledger = path.with_name("ledger.db")
    open_ledger(ledger).close()
    with pytest.raises(StoreUnavailable, match="a ledger, not a cache"):
        open_cache_store(ledger)
    with pytest.raises(StoreUnavailable, match="a cache, not a ledger"):
        open_ledger(path)
    other = path.with_name("notes.txt")
    other.write_text("not a database, and longer than its header" * 9)
    with pytest.raises(StoreUnavailable, match="not changed"):
        open_cache_store(other)
    assert other.read_text().startswith("not a database")


def test_a_newer_version_is_refused(path: Path) -> None:
    """A file of a version to come is not touched."""
    SQLiteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreUnavailable, match="Upgrade"):
        SQLiteStore(path)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_bytes_are_a_miss_or_unavailable(seed: int, path: Path) -> None:
    """Whichever bytes of the file are damaged, nothing but `StoreUnavailable` is raised, and entries are whole."""
    dice = random.Random(seed)  # noqa: S311  # no secret
    with SQLiteStore(path) as store:
        fill(store, 0, 60)
        store.invalidate(["t1"])
        store.add_audit("s", Audit(0.5, right=True, at_s=1))
        store.delete(["nothing"])  # and empties the write-ahead log
    held = bytearray(path.read_bytes())
    for _ in range(60):
        at = dice.randrange(100, len(held) - 30)
        held[at : at + dice.randrange(1, 30)] = dice.randbytes(dice.randrange(1, 30))
    path.write_bytes(held[: len(held) - dice.choice([0, 1, 5000])])
    with suppress(StoreUnavailable), SQLiteStore(path) as store:
        steps: list[Callable[[], object]] = [
            *(lambda n=n: store.get("p", f"k{n}", now_s=1) for n in range(60)),
            lambda: store.nearest("p", unit(3, 1, 2), most=9, now_s=1),
            lambda: store.audits("s", newest=9),
            store.epoch,
            store.room,
            lambda: fill(store, 100, 5),
            lambda: store.remove("p", "k2"),
            lambda: store.invalidate(["t2"]),
            lambda: store.add_audit("s", Audit(0.5, right=True, at_s=1)),
            store.delete,
        ]
        for step in steps:
            with suppress(StoreUnavailable):
                step()
