"""What budget stores survive: many at once, kill -9 in every state of the protocol, forks, other files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kills import survive
from limits import Plan, storm

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.ledger import SQLiteLedger
from langchain_agentcost.limits import sqlite_steps
from langchain_agentcost.limits.holds import BudgetStore, Denied, Granted, Line
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore
from langchain_agentcost.limits.sqlite_rows import HoldRow
from langchain_agentcost.limits.sqlite_tables import BUDGETS
from langchain_agentcost.limits.store import open_store

FORK = multiprocessing.get_context("fork")
LINES = [Line("org", 10, 6, lost=2), Line("ann", 10, 6, lost=2)]


def in_child(work: Callable[[], object]) -> None:
    """Run something in a forked child."""
    process = FORK.Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == 0


@pytest.mark.parametrize("system", ["memory", "sqlite"])
def test_eight_at_once_never_overshoot(system: str) -> None:
    """Eight that spend from one account without a pause stay under its limit at every moment, and use it up."""
    row = storm(system, Plan(8, 100))
    assert row["overshoot_pct"] == 0
    assert row["unused_pct"] < 100 * 2000 / Plan(8, 100).limit()


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
def test_a_place_is_given_to_one_thread(scheme: str, tmp_path: Path) -> None:
    """Of eight threads that want the only place of each of many accounts, one gets it."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads change places within every step
    store: BudgetStore = MemoryBudgetStore() if scheme == "memory" else SQLiteBudgetStore(tmp_path / "budgets.db")
    gate = threading.Barrier(8)

    def take(thread: int) -> int:
        gate.wait()
        answers = [store.reserve(f"{thread}-{n}", [Line(f"a{n}", 1, 1)]) for n in range(200)]
        return sum(isinstance(answer, Granted) for answer in answers)

    try:
        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(take, range(8))) == 200
    finally:
        sys.setswitchinterval(before)
    assert {account.reserved for account in store.accounts()} == {1}
    store.close()


@pytest.mark.parametrize("system", ["memory", "sqlite"])
def test_the_last_calls_of_a_session_are_given_once(system: str) -> None:
    """Of eight at once that find room for six calls, six are let through."""
    row = storm(system, Plan(8, 1, cap=6 / 8, even=True, call_s=0.05))
    assert (row["overshoot_pct"], row["unused_pct"]) == (0, 0)


def test_check_then_add_lets_too_many_through() -> None:
    """The same eight overspend where room is compared before the call and used up after it."""
    row = storm("naive, check then add", Plan(8, 1, cap=6 / 8, even=True, call_s=0.2))
    assert row["overshoot_pct"] > 0


def test_kill_9_at_random_moments_leaves_the_books_right() -> None:
    """After a sweep nothing is reserved, what is spent is what was posted or lost, and no session is over its cap."""
    row = survive(10)
    broken = ("still_reserved", "drifts", "spent_differs", "unknown_calls", "sessions_over_cap")
    assert [row[name] for name in broken] == [0] * len(broken)
    assert row["sessions_bought_over_cap"] == 0
    assert row["calls"] > 0


def _stop(*_: object) -> None:
    """Say that the moment has come, and wait to be killed."""
    os.kill(os.getpid(), signal.SIGSTOP)


def _dies_within_reserve(store: SQLiteBudgetStore) -> None:
    sqlite_steps.str = _stop  # type: ignore[attr-defined]  # the accounts are written, the hold is not
    store.reserve("h1", LINES, call_id="c1")


def _dies_after_reserve(store: SQLiteBudgetStore) -> None:
    store.reserve("h1", LINES, call_id="c1")
    _stop()


def _dies_within_settle(store: SQLiteBudgetStore) -> None:
    store.reserve("h1", LINES, call_id="c1")
    change = HoldRow.change

    def half(hold: HoldRow, *rest: object) -> None:
        change(hold, *rest)  # type: ignore[arg-type]
        _stop()  # all is written, nothing is committed

    HoldRow.change = half  # type: ignore[assignment,method-assign]
    store.settle("h1", [5, 5], call_id="c1")


def _dies_after_settle(store: SQLiteBudgetStore) -> None:
    store.reserve("h1", LINES, call_id="c1")
    store.settle("h1", [5, 5], call_id="c1")
    _stop()


@pytest.mark.parametrize(
    ("dies", "swept", "spent"),
    [
        (_dies_within_reserve, 0, 0),
        (_dies_after_reserve, 1, 2),
        (_dies_within_settle, 1, 2),
        (_dies_after_settle, 0, 5),
    ],
)
def test_kill_9_in_every_state(
    tmp_path: Path, dies: Callable[[SQLiteBudgetStore], None], swept: int, spent: int
) -> None:
    """A sweep gives back what was held and charges what was lost; the retry of the same call is then charged once."""
    path = tmp_path / "budgets.db"
    process = FORK.Process(target=lambda: dies(SQLiteBudgetStore(path)))
    process.start()
    assert process.pid is not None
    os.waitpid(process.pid, os.WUNTRACED)  # it has stopped itself
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with SQLiteBudgetStore(path, clock=lambda: time.time() + 61) as store:
        assert (store.sweep(), store.reconcile()) == (swept, ())
        assert [(a.spent, a.reserved) for a in store.accounts()] == [(spent, 0)] * (2 if swept or spent else 0)
        answer = store.reserve("h1", LINES, call_id="c1")
        assert isinstance(answer, Granted)
        assert answer.repeated == bool(spent)
        assert store.settle("h1", [5, 5], call_id="c1").applied == (dies is not _dies_after_settle)
        assert [(a.spent, a.reserved) for a in store.accounts()] == [(5, 0)] * 2


def test_an_open_store_survives_a_fork(tmp_path: Path) -> None:
    """Parent and child go on with the same file, each through a connection of its own."""
    with SQLiteBudgetStore(tmp_path / "budgets.db") as store:
        store.reserve("h1", LINES)
        in_child(lambda: store.settle("h1", [5, 5]))
        assert store.accounts()[0].spent == 5
        assert isinstance(store.reserve("h2", LINES), Denied)


def test_a_forked_child_has_a_copy_of_a_store_in_memory() -> None:
    """What a child spends from a store in memory is its own affair, also where the parent was within a step."""
    with MemoryBudgetStore() as store:
        store.reserve("h1", LINES)
        in_child(lambda: store.settle("h1", [5, 5]))
        assert store.accounts()[0].spent == 0


def test_a_spawned_process_opens_the_same_file(tmp_path: Path) -> None:
    """A store can be handed to a spawned process."""
    with SQLiteBudgetStore(tmp_path / "budgets.db") as store:
        process = multiprocessing.get_context("spawn").Process(target=store.reserve, args=("h1", LINES))
        process.start()
        process.join()
        assert process.exitcode == 0
        assert [hold.id for hold in store.holds()] == ["h1"]


def test_clocks_that_differ_never_go_backwards(tmp_path: Path) -> None:
    """A process whose clock is behind goes on from the latest time that another one wrote, also after a prune."""
    times = iter([1_800_014_400.0] * 2 + [1_800_014_500.0] * 10)
    lines = [Line("org", 10, 1, window="hour")]
    with SQLiteBudgetStore(tmp_path / "budgets.db", clock=lambda: next(times)) as ahead:
        for hold_id in ("h1", "h2", "h3"):
            ahead.reserve(hold_id, lines)
        with SQLiteBudgetStore(ahead.path, clock=lambda: 5.0) as behind:
            behind.reserve("h4", lines)
            assert [hold.expires_at.timestamp() for hold in behind.holds()][-2:] == [1_800_014_560.0] * 2
        for hold_id in ("h1", "h2", "h3", "h4"):
            ahead.settle(hold_id, [1])
        assert ahead.prune(older_than_s=0) == 4
    with SQLiteBudgetStore(ahead.path, clock=lambda: 5.0) as behind:
        granted = behind.reserve("h5", lines)
        assert [hold.expires_at.timestamp() for hold in behind.holds()] == [1_800_014_560.0]
        assert granted.accounts[0].spent == 4  # type: ignore[union-attr]


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    """The database, its log and its lock have mode 0600 whatever the umask."""
    before = os.umask(0)
    try:
        with SQLiteBudgetStore(tmp_path / "budgets.db") as store:
            store.reserve("h1", LINES)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["budgets.db", "budgets.db-wal", "budgets.db-shm", "budgets.db.lock"], 0o600)


def test_a_ledger_is_no_budget_store(tmp_path: Path) -> None:
    """Neither takes the other's file, and neither changes it."""
    SQLiteLedger(tmp_path / "ledger.db").close()
    SQLiteBudgetStore(tmp_path / "budgets.db").close()
    before = [(tmp_path / name).read_bytes() for name in ("ledger.db", "budgets.db")]
    with pytest.raises(StoreUnavailable, match="is a ledger, not a budget store"):
        SQLiteBudgetStore(tmp_path / "ledger.db")
    with pytest.raises(StoreUnavailable, match="is a budget store, not a ledger"):
        SQLiteLedger(tmp_path / "budgets.db")
    assert [(tmp_path / name).read_bytes() for name in ("ledger.db", "budgets.db")] == before


def test_a_newer_store_is_refused(tmp_path: Path) -> None:
    """A file of a newer version is not touched by an older package."""
    path = tmp_path / "budgets.db"
    SQLiteBudgetStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {len(BUDGETS.steps) + 1}")
    connection.close()
    with pytest.raises(StoreUnavailable, match="Upgrade langchain-agentcost"):
        SQLiteBudgetStore(path)


def test_a_missing_store_is_not_made_by_a_reader(tmp_path: Path) -> None:
    """A command that only reads does not make an empty store out of a typo."""
    with pytest.raises(StoreUnavailable, match="There is no budget store at"):
        SQLiteBudgetStore(tmp_path / "budgets.db", create=False)
    assert not list(tmp_path.iterdir())


def test_a_damaged_store_is_unavailable(tmp_path: Path) -> None:
    """A step that SQLite cannot make is `StoreUnavailable`, and names the budget store."""
    path = tmp_path / "budgets.db"
    with SQLiteBudgetStore(path) as store:
        store._writer.path.write_bytes(b"SQLite format 3\0" + b"\xff" * 9000)
        with pytest.raises(StoreUnavailable, match="The budget store"):
            store.reserve("h1", LINES)


@pytest.mark.parametrize("url", ["postgresql://host/db", "memory://x", "sqlite://relative.db", "redis://host"])
def test_an_unknown_scheme_names_what_is_supported(url: str) -> None:
    """A URL that no store is known for says which there are."""
    with pytest.raises(StoreUnavailable, match="use memory:// or sqlite:///path/to/file"):
        open_store(url)


def test_stores_are_opened_by_their_urls(tmp_path: Path) -> None:
    """A store's own URL opens it again."""
    with SQLiteBudgetStore(tmp_path / "budgets.db") as store:
        store.reserve("h1", LINES)
        again = open_store(store.url, create=False)
        assert [account.scope for account in again.accounts()] == ["ann", "org"]
        again.close()
    assert open_store("memory://").url == "memory://"
