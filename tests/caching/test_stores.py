"""What every cache store does. A new store passes these by joining `STORES`, and must agree with the plain model."""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from langchain_agentcost.caching.store import Audit, Cached, CacheStore, Room
from langchain_agentcost.caching.stores import MemoryStore, SQLiteStore, open_cache_store
from langchain_agentcost.caching.stores.marks import MOST_MARKS
from langchain_agentcost.caching.stores.vectors import as_bytes, is_usable
from langchain_agentcost.caching.stores.weight import MOST_AUDITS, weight
from langchain_agentcost.errors import MissingExtra, StoreUnavailable
from tests.caching.store_model import Model, cosine, entry, unit

Opens = Callable[..., CacheStore]

STORES: dict[str, Callable[[Path], Opens]] = {
    "memory": lambda _: MemoryStore,
    "sqlite": lambda folder: lambda **most: SQLiteStore(folder / "cache.db", **most),
}

HOUR_S = 3600.0


@pytest.fixture(params=list(STORES))
def opens(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opens]:
    """How to open each kind of store."""
    opened: list[CacheStore] = []

    def open_one(**most: int) -> CacheStore:
        opened.append(STORES[request.param](tmp_path)(**most))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(opens: Opens) -> CacheStore:
    """A new store of each kind."""
    return opens()


VECTORS = st.sampled_from([unit(*v) for v in ((1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1), (-1, 0, 2), (1, 2, 3))])
PARTITIONS = st.sampled_from(["p", "q"])
KEYS = st.sampled_from(["a", "b", "c", "d"])
TAGS = st.sets(st.sampled_from(["ann", "orders", "x"]), max_size=2)


class Stores(RuleBasedStateMachine):
    """Any steps in any order, on a store and on the model: both always agree."""

    opens: Callable[[Path], Opens]

    @initialize()
    def open(self) -> None:
        """Begin with nothing."""
        self.folder = TemporaryDirectory()
        self.store = type(self).opens(Path(self.folder.name))()
        self.model = Model()
        self.now_s = 1000.0

    def teardown(self) -> None:
        """Leave nothing behind."""
        self.store.close()
        self.folder.cleanup()

    @rule(
        partition=PARTITIONS,
        key=KEYS,
        tags=TAGS,
        vector=st.none() | VECTORS,
        ttl_s=st.none() | st.sampled_from([5.0, 20.0]),
        back=st.integers(0, 3),
    )
    def put(
        self, partition: str, key: str, tags: set[str], vector: bytes | None, ttl_s: float | None, back: int
    ) -> None:
        """Keep an answer that was begun some invalidations ago."""
        new = entry(
            key,
            partition=partition,
            epoch=max(0, len(self.model.invalidations) - back),
            tags=tuple(sorted(tags)),
            vector=vector,
            created_s=self.now_s,
            expires_s=None if ttl_s is None else self.now_s + ttl_s,
        )
        assert self.store.put(new) == self.model.put(new)

    @rule(partition=PARTITIONS, key=KEYS)
    def remove(self, partition: str, key: str) -> None:
        """Remove one."""
        was_live = self.model.get(partition, key, self.now_s) is not None
        assert self.store.remove(partition, key) or not was_live
        self.model.remove(partition, key)

    @rule(tags=TAGS)
    def invalidate(self, tags: set[str]) -> None:
        """Something was written."""
        self.store.invalidate(tags)
        self.model.invalidate(tags)

    @rule(tags=TAGS, age_s=st.none() | st.sampled_from([1.0, 10.0]))
    def delete(self, tags: set[str], age_s: float | None) -> None:
        """Somebody wants to be forgotten."""
        before_s = None if age_s is None else self.now_s - age_s
        assert self.store.delete(tags, before_s=before_s) <= self.model.delete(tags, before_s)

    @rule(seconds=st.sampled_from([1.0, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.now_s += seconds

    @rule(partition=PARTITIONS, vector=VECTORS, most=st.integers(1, 5))
    def nearest(self, partition: str, vector: bytes, most: int) -> None:
        """Look for something similar."""
        found = self.store.nearest(partition, vector, most=most, now_s=self.now_s)
        assert [near.entry.key for near in found] == self.model.nearest(partition, vector, most, self.now_s)
        assert all(near.entry == self.model.get(partition, near.entry.key, self.now_s) for near in found)
        assert [near.similarity for near in found] == pytest.approx(
            [cosine(near.entry.vector or b"", vector) for near in found], abs=1e-6
        )

    @rule(series=PARTITIONS, right=st.booleans())
    def audit(self, series: str, right: bool) -> None:
        """Compare an answer."""
        audit = Audit(0.5, right, self.now_s)
        self.store.add_audit(series, audit)
        self.model.audits.setdefault(series, []).append(audit)

    @invariant()
    def agree(self) -> None:
        """Whatever was done, both hold the same."""
        assert self.store.epoch() == len(self.model.invalidations)
        for partition in ("p", "q"):
            for key in ("a", "b", "c", "d"):
                expected = self.model.get(partition, key, self.now_s)
                assert self.store.get(partition, key, now_s=self.now_s) == expected
            near = self.store.nearest(partition, unit(1, 2, 4), most=9, now_s=self.now_s)
            expected_keys = self.model.nearest(partition, unit(1, 2, 4), 9, self.now_s)
            assert [one.entry.key for one in near] == expected_keys
            assert list(self.store.audits(partition, newest=3)) == self.model.audits.get(partition, [])[-3:]
        live = len(self.model.live(self.now_s))
        assert live <= self.store.room().entries <= len(self.model.entries)
        assert self.store.room().bytes >= live * weight(entry("a", value=b""))


@pytest.mark.parametrize("kind", list(STORES))
def test_any_steps_in_any_order_agree_with_the_model(kind: str) -> None:
    """A store gives what a plain list and written-out arithmetic give, after any steps."""
    machine: type[Stores] = type("StoresOf", (Stores,), {"opens": staticmethod(STORES[kind])})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=100, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_an_entry_comes_back_as_it_was_put(store: CacheStore) -> None:
    """Everything that an entry holds is kept, text of any characters and bytes of any value included."""
    whole = Cached(
        partition="p\0|é",
        key="k\ud800",
        value=bytes(range(256)),
        epoch=0,
        created_s=1.25,
        expires_s=9.5,
        stale_s=4.75,
        tags=("t\0", "ü"),
        text="How?\0 漢字 \udfff",
        vector=unit(1, 2, 3),
    )
    assert store.put(whole)
    assert store.get("p\0|é", "k\ud800", now_s=2) == whole
    assert [near.entry for near in store.nearest("p\0|é", unit(1, 2, 3), most=1, now_s=2)] == [whole]


def test_partitions_do_not_mix(store: CacheStore) -> None:
    """What is in a partition is found in no other, exactly or by likeness."""
    store.put(entry("k", partition="p", vector=unit(1, 0)))
    assert store.get("q", "k", now_s=1) is None
    assert list(store.nearest("q", unit(1, 0), most=5, now_s=1)) == []


def test_an_entry_is_gone_when_it_expires(store: CacheStore) -> None:
    """At its end an entry is no longer served, and reading it before does not move the end."""
    store.put(entry("k", vector=unit(1, 0), expires_s=10))
    assert store.get("p", "k", now_s=9.9) is not None
    assert store.get("p", "k", now_s=10) is None
    assert list(store.nearest("p", unit(1, 0), most=1, now_s=10)) == []


def test_what_has_expired_is_cleared_away(store: CacheStore) -> None:
    """Puts after their end clear ended entries away, so that they take no room."""
    for number in range(20):
        store.put(entry(f"old{number}", expires_s=10))
    for number in range(3):
        store.put(entry(f"new{number}", created_s=11))
    assert store.room().entries == 3


def test_a_write_during_a_read_leaves_nothing_stale(store: CacheStore) -> None:
    """An answer that was begun before an invalidation is not kept after it; one begun after it is."""
    begun = store.epoch()
    store.invalidate(["orders"])
    assert not store.put(entry("k", epoch=begun, tags=("orders",)))
    assert store.get("p", "k", now_s=1) is None
    assert store.put(entry("k", epoch=store.epoch(), tags=("orders",)))
    assert store.put(entry("other", epoch=begun, tags=("other",)))


def test_a_refused_entry_leaves_the_one_that_is_there(store: CacheStore) -> None:
    """An answer that comes too late does not take the place of a newer one."""
    begun = store.epoch()
    store.invalidate(["orders"])
    store.put(entry("k", epoch=store.epoch(), tags=("orders",), value=b"new"))
    assert not store.put(entry("k", epoch=begun, tags=("orders",), value=b"old"))
    found = store.get("p", "k", now_s=1)
    assert found is not None
    assert found.value == b"new"


def test_forgotten_invalidations_still_end_what_was_begun_before_them(store: CacheStore) -> None:
    """When more tags are invalidated than a store remembers, older answers with any tag are refused: rather a miss."""
    begun = store.epoch()
    store.invalidate(["first"])
    between = store.epoch()
    store.invalidate(f"tag{number}" for number in range(MOST_MARKS))
    after = store.epoch()
    store.invalidate(["last"])
    assert not store.put(entry("k", epoch=begun, tags=("first",)))
    assert store.put(entry("k", epoch=begun))
    assert not store.put(entry("k", epoch=between, tags=("tag7",)))
    assert not store.put(entry("k", epoch=after, tags=("last",)))
    assert store.put(entry("k", epoch=store.epoch(), tags=("first", "tag7", "last")))


def test_a_full_store_forgets_what_was_not_used_for_longest(opens: Opens) -> None:
    """Over `max_entries` the least recently used goes; reading is a use, also by likeness."""
    store = opens(max_entries=3)
    for number, key in enumerate(["exact", "near", "unused"]):
        store.put(entry(key, vector=unit(number, 1, number * number), created_s=number))
    assert store.get("p", "exact", now_s=HOUR_S) is not None
    assert store.nearest("p", unit(1, 1, 1), most=1, now_s=2 * HOUR_S)[0].entry.key == "near"
    store.put(entry("new", created_s=3 * HOUR_S))
    there = [key for key in ("exact", "near", "unused", "new") if store.get("p", key, now_s=3 * HOUR_S)]
    assert there == ["exact", "near", "new"]


def test_a_store_is_bounded_in_bytes(opens: Opens) -> None:
    """Large values push others out; one that is too large for the store is refused and pushes none out."""
    store = opens(max_bytes=50_000)
    for number in range(20):
        assert store.put(entry(f"k{number}", value=bytes(10_000), created_s=number))
        assert store.room().bytes <= 50_000
    assert store.room().entries == 4
    assert not store.put(entry("huge", value=bytes(60_000)))
    assert store.room().entries == 4


def test_what_is_replaced_takes_no_room(store: CacheStore) -> None:
    """A key that is put again and again is one entry."""
    for number in range(300):
        store.put(entry("k", vector=unit(1, number), expires_s=1000 + number, tags=(f"t{number}",)))
    assert store.room() == Room(1, weight(entry("k", vector=unit(1, 2), tags=("t100",))))
    found = store.nearest("p", unit(1, 0), most=5, now_s=1)
    assert [near.entry.vector for near in found] == [unit(1, 299)]


def test_equal_ones_come_oldest_first(store: CacheStore) -> None:
    """Of entries with one vector, more than are asked for, the oldest are given in their order."""
    for number in range(200):
        store.put(entry(f"k{number}", vector=unit(1, 2, 3, 4)))
    found = store.nearest("p", unit(1, 2, 3, 4.001), most=7, now_s=1)
    assert [near.entry.key for near in found] == [f"k{number}" for number in range(7)]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), crowd=st.sampled_from([0.0, 0.02, 0.5, 2.0]), most=st.integers(1, 7))
@pytest.mark.parametrize("kind", list(STORES))
def test_the_nearest_are_those_that_a_comparison_with_all_finds(kind: str, seed: int, crowd: float, most: int) -> None:
    """The index is rounded, what it gives is not: also in a crowd whose members differ by less than the rounding."""
    dice = random.Random(seed)  # noqa: S311  # no secret
    middle = [dice.gauss(0, 1) for _ in range(12)]
    made = [unit(*(m + crowd * dice.gauss(0, 1) for m in middle)) for _ in range(150)]
    with TemporaryDirectory() as folder:
        store = STORES[kind](Path(folder))()
        for number, vector in enumerate(made):
            store.put(entry(f"k{number}", vector=vector))
        for number in range(0, 150, 3):
            store.remove("p", f"k{number}")
        wanted = unit(*middle)
        found = [near.similarity for near in store.nearest("p", wanted, most=most, now_s=1)]
        left = [cosine(vector, wanted) for number, vector in enumerate(made) if number % 3]
        assert found == pytest.approx(sorted(left, reverse=True)[:most], abs=1e-6)
        store.close()


@pytest.mark.parametrize(
    "vector",
    [b"", b"odd", bytes(8), unit(1, 2, 3), unit(1, 0)[:4] * 2, b"\xff" * 8, b"\x00\x00\xc0\x7f" * 2],
    ids=["none", "no floats", "zeros", "other size", "not of length 1", "NaN", "quiet NaN"],
)
def test_what_is_no_vector_of_this_size_is_near_to_nothing(store: CacheStore, vector: bytes) -> None:
    """Bytes that cannot be compared are found exactly, never by likeness, and nothing is found by them."""
    good = entry("good", vector=unit(1, 0))
    assert store.put(good)
    assert store.put(entry("bad", vector=vector))
    assert store.get("p", "bad", now_s=1) is not None
    assert [near.entry for near in store.nearest("p", unit(1, 0), most=5, now_s=1)] == [good]
    assert "good" not in [near.entry.key for near in store.nearest("p", vector, most=5, now_s=1)]


def test_nothing_is_asked_for_nothing_is_given(store: CacheStore) -> None:
    """No neighbours and no audits are given where none are asked for."""
    store.put(entry("k", vector=unit(1, 0)))
    store.add_audit("s", Audit(0.5, right=True, at_s=1))
    assert list(store.nearest("p", unit(1, 0), most=0, now_s=1)) == []
    assert list(store.audits("s", newest=0)) == []


def test_deletion_is_by_owner_and_age(store: CacheStore) -> None:
    """Entries of one owner go, those of a certain age, or all; how many there were is told."""
    for number in range(6):
        store.put(entry(f"k{number}", tags=("ann", "acme") if number % 2 else ("bob",), created_s=number))
    assert store.delete(["ann", "acme"], before_s=3) == 1
    assert store.delete(["ann", "nobody"]) == 2
    assert store.room().entries == 3
    assert store.delete() == 3
    assert store.room() == Room(0, 0)


def test_audits_of_a_series_are_bounded(store: CacheStore) -> None:
    """Only the newest audits of a series are kept."""
    for number in range(MOST_AUDITS + 150):
        store.add_audit("s", Audit(0.5, right=number % 2 == 0, at_s=number))
    kept = store.audits("s", newest=10**6)
    assert len(kept) == MOST_AUDITS
    assert kept[-1].at_s == MOST_AUDITS + 149


def test_a_search_that_comes_upon_gone_entries_finds_all_others(opens: Opens) -> None:
    """What another store on the same place removed does not hide what is there, however much it is."""
    store = opens()
    for number in range(150):
        store.put(entry(f"k{number}", vector=unit(1, number / 100)))
    assert len(store.nearest("p", unit(1, 0), most=150, now_s=1)) == 150
    other = opens() if isinstance(store, SQLiteStore) else store
    for number in range(140):
        other.remove("p", f"k{number}")
    assert [near.entry.key for near in store.nearest("p", unit(1, 0), most=20, now_s=1)] == [
        f"k{number}" for number in range(140, 150)
    ]


def test_threads_at_once_leave_a_store_whole(opens: Opens) -> None:
    """Threads that put, look, remove and invalidate at once see entries whole, and the count is right afterwards."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    store = opens(max_entries=50)

    def work(thread: int) -> None:
        dice = random.Random(thread)  # noqa: S311  # no secret
        for step in range(60):
            key = f"k{dice.randrange(80)}"
            store.put(entry(key, epoch=store.epoch(), tags=(f"t{step % 5}",), vector=unit(dice.random(), 1, thread)))
            for near in store.nearest("p", unit(1, 1, 1), most=3, now_s=1):
                assert near.entry.text == f"text of {near.entry.key}"
            if step % 10 == 0:
                store.invalidate([f"t{dice.randrange(5)}"])
            store.remove("p", f"k{dice.randrange(80)}")

    try:
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(4)))
    finally:
        sys.setswitchinterval(before)
    there = [key for number in range(80) if store.get("p", key := f"k{number}", now_s=1)]
    assert store.room().entries == len(there) <= 50
    assert len(store.nearest("p", unit(1, 1, 1), most=80, now_s=1)) == len(there)


def test_a_closed_store_says_so(store: CacheStore) -> None:
    """What is closed is unavailable, and the error says what to do; closing again is no fault."""
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="open"):
        store.get("p", "k", now_s=1)


def test_without_faiss_exact_lookups_work(opens: Opens, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where faiss is not installed entries are found exactly, and looking for similar ones names the extra."""
    monkeypatch.setitem(sys.modules, "faiss", None)
    store = opens()
    store.put(entry("k"))
    assert store.get("p", "k", now_s=1) is not None
    with pytest.raises(MissingExtra, match="semantic"):
        _put_and_search(store)


def test_other_searches_keep_their_threads(store: CacheStore) -> None:
    """A search runs on one thread, and leaves faiss's number of threads as it was."""
    faiss = pytest.importorskip("faiss")
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        store.put(entry("k", vector=unit(1, 0)))
        store.nearest("p", unit(1, 0), most=1, now_s=1)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=20))
def test_any_vector_that_is_not_zero_is_made_usable(numbers: list[float]) -> None:
    """A vector is kept with length 1, whatever its length was; zeros are not usable."""
    assert is_usable(as_bytes(numbers)) == any(numbers)


def test_stores_are_opened_by_url(tmp_path: Path) -> None:
    """Memory, absolute and relative URLs and paths open a store that tells its URL; others are refused."""
    path = tmp_path / "cache.db"
    for url in (f"sqlite:///{path}", path, str(path), f"sqlite:///{os.path.relpath(path)}"):
        with open_cache_store(url) as store:  # type: ignore[attr-defined]
            assert (store.url, store.waits) == (f"sqlite:///{path}", True)
    memory = open_cache_store("memory://")
    assert (memory.url, memory.waits) == ("memory://", False)
    for bad in ("redis://here", "memory://there", "sqlite://", "sqlite:///"):
        with pytest.raises(StoreUnavailable, match="use memory:// or sqlite:///"):
            open_cache_store(bad)


def test_nothing_is_made_where_nothing_may_be(tmp_path: Path) -> None:
    """A command that only clears a cache makes none."""
    with pytest.raises(StoreUnavailable, match="no cache"):
        open_cache_store(tmp_path / "cache.db", create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE entry SET value = 'text', tags = x'ff'",
        "UPDATE entry SET tags = 7",
        "UPDATE entry SET partition = 'p', key = 'k', text = 'text' WHERE key = x'6b'",
        "UPDATE entry SET created = 'yesterday'",
        "UPDATE entry SET vector = 'a text', expires = 'never'",
        "UPDATE entry SET vector = x'0000'",
        "UPDATE entry SET vector = x'ffffffffffffffff'",
        "UPDATE entry SET vector = x'0000c8420000c842'",
        "UPDATE entry SET epoch = 'x', stale = 'x'",
        "DELETE FROM state",
        "UPDATE state SET epoch = 'x', entries = 'x', bytes = x'00'",
        "DROP TABLE tag",
        "INSERT INTO audit (series, score, right, at) VALUES (x'73', 'x', 'y', x'00')",
    ],
)
@pytest.mark.parametrize("loaded", [True, False])
def test_a_damaged_row_is_a_miss_or_unavailable(damage: str, loaded: bool, tmp_path: Path) -> None:
    """Whatever is in the file, a store gives whole entries, nothing, or says that it cannot be used."""
    path = tmp_path / "cache.db"
    whole = entry("k", vector=unit(1, 0), tags=("t",))
    with SQLiteStore(path) as store:
        store.put(whole)
        store.put(replace(whole, key="other", vector=unit(0, 1)))
        if loaded:
            store.nearest("p", unit(1, 0), most=2, now_s=1)
        connection = sqlite3.connect(path)
        connection.execute(damage)
        connection.commit()
        connection.close()
        for step in (
            lambda: store.get("p", "k", now_s=1),
            lambda: store.nearest("p", unit(1, 0), most=5, now_s=1),
            lambda: store.audits("s", newest=5),
            store.epoch,
            store.room,
            lambda: store.put(replace(whole, key="new")),
            lambda: store.invalidate(["t"]),
            store.delete,
        ):
            result = _unless_unavailable(step)
            if isinstance(result, list) and result and isinstance(result[0][0], Cached):
                assert all(type(near.entry.epoch) is int for near in result)
                assert all(abs(near.similarity - cosine(near.entry.vector, unit(1, 0))) < 1e-6 for near in result)


def _put_and_search(store: CacheStore) -> None:
    """One of the two needs faiss, whichever it is in this store."""
    store.put(entry("v", vector=unit(1, 0)))
    store.nearest("p", unit(1, 0), most=1, now_s=1)


def _unless_unavailable(step: Callable[[], object]) -> object:
    try:
        return step()
    except StoreUnavailable:
        return None
