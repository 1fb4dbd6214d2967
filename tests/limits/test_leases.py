"""Leases of calls under way, with the real thread and leases of fractions of a second."""

from __future__ import annotations

import logging
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.limits import leases as module
from langchain_agentcost.limits.holds import Line
from langchain_agentcost.limits.leases import Leases
from langchain_agentcost.limits.memory import MemoryBudgetStore

LINES = [Line("org", 100, 5, lost=1)]


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold within some seconds."""
    until = time.monotonic() + 10
    while not holds() and time.monotonic() < until:
        time.sleep(0.005)
    return holds()


def expiry(store: MemoryBudgetStore, hold_id: str) -> float:
    """When a hold expires."""
    return next(hold.expires_at.timestamp() for hold in store.holds() if hold.id == hold_id)


def test_a_kept_hold_is_renewed() -> None:
    """A kept hold outlives its lease; one that is not kept expires meanwhile."""
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.15)
    for hold_id in ("kept", "left"):
        store.reserve(hold_id, LINES, ttl_s=0.15)
    leases.keep("kept")
    first = expiry(store, "kept")
    assert eventually(lambda: expiry(store, "kept") > first + 0.2)
    assert {hold.id: hold.state for hold in store.holds()} == {"kept": "pending", "left": "expired"}
    leases.close()


def test_a_dropped_hold_is_not_renewed_and_the_thread_ends() -> None:
    """When nothing is under way there is no thread; the next call has one again."""
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.06)
    for hold_id in ("h1", "h2"):
        store.reserve(hold_id, LINES, ttl_s=0.06)
        leases.keep(hold_id)
        leases.drop(hold_id)
        assert eventually(lambda: leases._thread is None)
    assert eventually(lambda: store.sweep() == 2 or store.accounts()[0].reserved == 0)


def test_a_finished_hold_is_dropped() -> None:
    """What the store says is finished is not asked for again."""
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.06)
    store.reserve("h1", LINES)
    leases.keep("h1")
    store.settle("h1", [5])
    assert eventually(lambda: leases._thread is None)


def test_old_finished_holds_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now and then, holds that finished long ago are pruned; the accounts keep what they took."""
    monkeypatch.setattr(module, "KEEP_FINISHED_S", 0.0)
    monkeypatch.setattr(module, "_PRUNE_EVERY_S", 0.0)
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.3)
    for hold_id in ("h1", "h2"):
        store.reserve(hold_id, LINES)
    store.settle("h1", [5])
    leases.keep("h2")
    assert eventually(lambda: [hold.id for hold in store.holds()] == ["h2"])
    assert store.accounts()[0].spent == 5
    leases.close()


def test_short_calls_are_pruned_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no call outlives a third of a lease, old holds are forgotten all the same."""
    monkeypatch.setattr(module, "KEEP_FINISHED_S", 0.0)
    monkeypatch.setattr(module, "_PRUNE_EVERY_S", 0.01)
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.15)
    store.reserve("h1", LINES)
    leases.keep("h1")
    store.settle("h1", [5])
    leases.drop("h1")
    assert eventually(lambda: not list(store.holds()))
    leases.close()


def test_a_store_that_was_closed_keeps_no_thread_alive() -> None:
    """Where nothing is under way, old holds that cannot be forgotten are left for the next hour."""
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.06)
    leases._pruned_at_s = float("-inf")
    leases.keep("h1")
    leases.drop("h1")
    store.close()
    assert eventually(lambda: leases._thread is None)


def test_a_thread_that_cannot_be_started_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A call goes on where the system has no more threads, and its lease is renewed once there is one."""
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.15)
    store.reserve("h1", LINES)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(threading.Thread, "start", refuse)
        leases.keep("h1")
    assert "could not be started" in caplog.text
    first = expiry(store, "h1")
    leases.keep("h1")
    assert eventually(lambda: expiry(store, "h1") != first)
    leases.close()


def test_a_failing_store_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """A store that cannot be reached for a while raises nothing in the thread, and holds are renewed afterwards."""

    class Flaky(MemoryBudgetStore):
        fails = True

        def extend(self, hold_id: str, *, ttl_s: float = 60.0) -> bool:
            if self.fails:
                raise StoreUnavailable("The network is down.")
            return super().extend(hold_id, ttl_s=ttl_s)

    store = Flaky()
    leases = Leases(store, ttl_s=0.06)
    store.reserve("h1", LINES, ttl_s=60)
    first = expiry(store, "h1")
    with caplog.at_level(logging.WARNING):
        leases.keep("h1")
        assert eventually(lambda: "could not be renewed" in caplog.text)
    store.fails = False
    assert eventually(lambda: expiry(store, "h1") != first)
    leases.close()


def test_closing_ends_the_thread_at_once() -> None:
    """Close does not wait for the next renewal, and nothing is kept afterwards; twice is harmless."""
    leases = Leases(MemoryBudgetStore(), ttl_s=3600)
    leases.keep("h1")
    thread = leases._thread
    assert thread is not None
    assert eventually(lambda: bool(leases._changed._waiters))  # type: ignore[attr-defined]  # it is asleep
    leases.close()
    leases.close()
    assert not thread.is_alive()
    leases.keep("h2")
    assert leases._thread is None


def _renewed_in_child(leases: Leases, store: MemoryBudgetStore) -> None:
    assert leases._thread is None
    assert not leases._kept
    store.reserve("theirs", LINES, ttl_s=0.3)
    first = {hold.id: hold.expires_at for hold in store.holds()}
    leases.keep("theirs")
    assert eventually(lambda: expiry(store, "theirs") > first["theirs"].timestamp())
    assert next(hold.expires_at for hold in store.holds() if hold.id == "ours") == first["ours"]
    leases.close()


def test_a_forked_child_renews_its_own_holds_only() -> None:
    """The parent's calls are not the child's to keep alive, and the parent goes on."""
    store = MemoryBudgetStore()
    leases = Leases(store, ttl_s=0.3)
    store.reserve("ours", LINES, ttl_s=5)
    leases.keep("ours")
    process = multiprocessing.get_context("fork").Process(target=_renewed_in_child, args=(leases, store))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert leases._thread is not None
    assert leases._thread in threading.enumerate()
    leases.close()


def test_leases_do_not_keep_a_process_alive() -> None:
    """A program that ends with a call under way ends."""
    script = (
        "from langchain_agentcost.limits.leases import Leases\n"
        "from langchain_agentcost.limits.memory import MemoryBudgetStore\n"
        "Leases(MemoryBudgetStore(), ttl_s=9999).keep('h1')\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)
