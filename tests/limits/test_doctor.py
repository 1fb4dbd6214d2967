from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from langchain_agentcost.ledger import Entry, Ledger, MemoryLedger, SQLiteLedger
from langchain_agentcost.ledger.base import Where
from langchain_agentcost.limits import doctor
from langchain_agentcost.limits.approvals import Approval, answer, ask, find
from langchain_agentcost.limits.doctor import Examination, disk_of, examine
from langchain_agentcost.limits.holds import BudgetStore, Line
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore
from langchain_agentcost.pricing import Cost
from langchain_agentcost.usage import Usage

USD = "session budget:usd|session=t|1:2"
LINES = (
    Line(USD, 10**10, 2_000, 10, lost=2_000),
    Line("run budget:input_tokens|run=r1", 10_000, 200, lost=200),
    Line("run budget:output_tokens|run=r1", 10_000, 0, 1),
    Line("run budget:total_tokens|run=r1", 10_000, 200, 1, lost=200),
    Line("run budget:steps|run=r1", 50, 1, lost=1),
    Line("run budget:llm_calls|run=r1", 50, 1, lost=1),
    Line("run budget:wall_time|run=r1", 90_000, 700, lost=700),
    Line("somebody", 100, 3, lost=3),
)
RESERVED = [3_000, 200, 100, 300, 1, 1, 700, 3]


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BudgetStore]:
    """A new store of each kind."""
    opened = MemoryBudgetStore() if request.param == "memory" else SQLiteBudgetStore(tmp_path / "costs.budgets.db")
    with opened:
        yield opened


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger of each kind."""
    with MemoryLedger() if request.param == "memory" else SQLiteLedger(tmp_path / "costs.db") as opened:
        yield opened


def reserved(store: BudgetStore, call: str = "c1", lines: Sequence[Line] = LINES, ttl_s: float = 60) -> None:
    """Make a hold for a call."""
    store.reserve(f"hold of {call}", lines, output_tokens=100, call_id=call, ttl_s=ttl_s)


def booked(call: str = "c1", **changes: Any) -> Entry:
    """What the ledger has of a call."""
    cost = Cost(total_nano=1_500, input_nano=1_000, output_nano=500)
    entry = Entry(call, "llm", datetime.now(UTC), usage=Usage(input_tokens=150, output_tokens=40), cost=cost)
    return replace(entry, **changes)


def spent(store: BudgetStore) -> list[int]:
    """What each account has spent, in the lines' order."""
    by_scope = {account.scope: account.spent for account in store.accounts()}
    return [by_scope[line.scope] for line in LINES]


def left_reserved(store: BudgetStore) -> int:
    """What is reserved anywhere."""
    return sum(account.reserved for account in store.accounts())


def kinds(seen: Examination) -> list[str]:
    """What kinds of findings there are."""
    return [finding.kind for finding in seen.findings]


def test_a_store_in_order_is_healthy(store: BudgetStore, ledger: Ledger) -> None:
    """What agrees with the ledger gives no finding; every hold was compared."""
    reserved(store)
    store.settle("hold of c1", [1_500, 150, 40, 190, 1, 1, 700, 3])
    ledger.append(booked())
    seen = examine(store, ledger)
    assert (seen.healthy, seen.findings, seen.accounts, seen.holds, seen.compared) == (True, [], 8, 1, 1)


@pytest.mark.parametrize("expired", [False, True])
def test_a_call_that_is_booked_is_settled_late(store: BudgetStore, ledger: Ledger, *, expired: bool) -> None:
    """A hold whose settlement was lost takes what the ledger says, in every unit, in place of what it was charged."""
    reserved(store, ttl_s=0 if expired else 60)
    if expired:
        assert store.sweep() == 1
        assert spent(store) == [2_000, 200, 0, 200, 1, 1, 700, 3]
    ledger.append(booked())
    found = examine(store, ledger)
    assert (kinds(found), found.healthy) == (["unsettled"], False)
    repaired = examine(store, ledger, repair=True)
    assert (kinds(repaired), repaired.healthy) == (["unsettled"], True)
    assert "$0.0000015" in repaired.findings[0].message
    assert spent(store) == [1_500, 150, 40, 190, 1, 1, 700, 3]
    assert left_reserved(store) == 0
    assert examine(store, ledger, repair=True).findings == []


def test_a_cache_hit_took_no_money_and_no_call(store: BudgetStore, ledger: Ledger) -> None:
    """What LangChain's cache answered is settled as the meter does: a step, and nothing of the provider's."""
    reserved(store)
    ledger.append(booked(kind="cache_hit", cost=Cost()))
    assert examine(store, ledger, repair=True).healthy
    assert spent(store) == [0, 0, 0, 0, 1, 0, 700, 3]


def test_a_call_without_a_price_takes_what_was_reserved(store: BudgetStore, ledger: Ledger) -> None:
    """An unknown cost is never settled as 0."""
    reserved(store)
    ledger.append(booked(cost=None))
    assert examine(store, ledger, repair=True).healthy
    assert spent(store)[0] == RESERVED[0]


def test_what_is_under_way_is_left_alone(store: BudgetStore, ledger: Ledger) -> None:
    """A call that has not ended is no finding, and keeps its reservation."""
    reserved(store)
    seen = examine(store, ledger, repair=True)
    assert (seen.findings, seen.under_way, left_reserved(store)) == ([], 1, sum(RESERVED))


def test_a_lease_that_ended_is_given_back(store: BudgetStore, ledger: Ledger) -> None:
    """A call that was never heard of again is charged as lost, and its reservation is gone."""
    reserved(store, ttl_s=0)
    found = examine(store, ledger)
    assert (kinds(found), found.overdue, found.healthy, left_reserved(store)) == (["overdue"], 1, False, sum(RESERVED))
    assert examine(store, ledger, repair=True).healthy
    assert (spent(store), left_reserved(store)) == ([2_000, 200, 0, 200, 1, 1, 700, 3], 0)
    after = examine(store, ledger)
    assert (after.findings, after.lost) == ([], 1)


def test_a_posted_call_without_an_entry_is_listed(store: BudgetStore, ledger: Ledger) -> None:
    """Nobody can say what it was: it is listed, and stays as it is."""
    ledger.append(booked("another"))
    reserved(store)
    store.settle("hold of c1", RESERVED)
    seen = examine(store, ledger, repair=True)
    assert (kinds(seen), seen.healthy, spent(store)) == (["unbooked"], False, RESERVED)
    assert "Call c1 took $0.000003 of session budget:usd|session=t|1:2" in seen.findings[0].message


@pytest.mark.parametrize(
    ("line", "amount", "said"),
    [
        (0, 1_600, "took $0.0000016 of session budget:usd|session=t|1:2; the ledger says $0.0000015"),
        (1, 151, "took 151 input tokens of run budget:input_tokens|run=r1; the ledger says 150 input tokens"),
        (5, 0, "took 0 model calls of run budget:llm_calls|run=r1; the ledger says 1 model call"),
    ],
)
def test_a_posted_call_with_another_amount_is_listed(
    store: BudgetStore, ledger: Ledger, line: int, amount: int, said: str
) -> None:
    """Money, tokens and calls are compared; the finding has both amounts, and nothing is changed."""
    ledger.append(booked())
    taken = [1_500, 150, 40, 190, 1, 1, 700, 3]
    taken[line] = amount
    reserved(store)
    store.settle("hold of c1", taken)
    seen = examine(store, ledger, repair=True)
    assert (kinds(seen), seen.healthy, spent(store)) == (["differs"], False, taken)
    assert said in seen.findings[0].message


def test_what_no_unit_is_known_of_is_not_compared(store: BudgetStore, ledger: Ledger) -> None:
    """An account that somebody else named is theirs to explain."""
    ledger.append(booked())
    reserved(store)
    store.settle("hold of c1", [1_500, 150, 40, 190, 1, 1, 700, 99])
    assert examine(store, ledger).findings == []


def test_time_between_calls_is_no_call(store: BudgetStore, ledger: Ledger) -> None:
    """The rest of a run's time is posted without an entry, and money of 0 needs none."""
    reserved(store, "r1:3.5", [replace(LINES[0], fixed=0, per_output_token=0), LINES[6]])
    store.settle("hold of r1:3.5", [0, 700])
    assert examine(store, ledger).findings == []


def test_calls_from_before_the_ledger_are_not_looked_for(store: BudgetStore, ledger: Ledger) -> None:
    """Old entries may have been pruned, or the ledger is younger than the store."""
    reserved(store)
    store.settle("hold of c1", RESERVED)
    ledger.append(booked("later", at=datetime.now(UTC) + timedelta(hours=1)))
    assert examine(store, ledger).findings == []


def test_without_a_ledger_nothing_is_compared(store: BudgetStore) -> None:
    """The store is still looked at by itself."""
    reserved(store)
    store.settle("hold of c1", RESERVED)
    reserved(store, "c2", ttl_s=0)
    seen = examine(store)
    assert (kinds(seen), seen.compared, seen.holds) == (["overdue"], 0, 2)


def test_many_holds_are_compared_a_lot_at_a_time(
    store: BudgetStore, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hold is left out where one lot is full."""
    monkeypatch.setattr(doctor, "_AT_ONCE", 5)
    for number in range(12):
        reserved(store, f"c{number}", [LINES[0]])
        store.settle(f"hold of c{number}", [1_500])
        ledger.append(booked(f"c{number}"))
    reserved(store, "unknown", [LINES[0]])
    store.settle("hold of unknown", [1])
    seen = examine(store, ledger)
    assert (seen.holds, seen.compared, kinds(seen)) == (13, 12, ["unbooked"])


class Meanwhile(MemoryLedger):
    """A ledger of an app that works while it is read."""

    then: Callable[[], object] = staticmethod(lambda: None)

    def entries(
        self, where: Where | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> Iterator[Entry]:
        """Read, and let the app go on."""
        found = super().entries(where, since, until)
        if where:
            self.then()
        return found


@pytest.mark.parametrize("repair", [False, True])
def test_what_the_app_settles_meanwhile_is_no_finding(store: BudgetStore, *, repair: bool) -> None:
    """An app books a call and settles it a moment later: a look in between says nothing of it."""
    ledger = Meanwhile()
    ledger.append(booked())
    reserved(store)
    ledger.then = lambda: store.settle("hold of c1", [1_500, 150, 40, 190, 1, 1, 700, 3])
    assert examine(store, ledger, repair=repair).findings == []
    assert spent(store)[0] == 1_500


def test_an_account_that_drifted_follows_its_holds_again(tmp_path: Path) -> None:
    """Sums that somebody changed by hand are found with both amounts, and repaired."""
    path = tmp_path / "costs.budgets.db"
    with SQLiteBudgetStore(path) as store:
        reserved(store)
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE account SET spent = 7000000000 WHERE scope = ?", (USD,))
        connection.close()
        found = examine(store)
        assert (kinds(found), found.healthy) == (["drift"], False)
        assert "says $7 spent and $0.000003 reserved; its holds say $0 and $0.000003" in found.findings[0].message
        assert examine(store, repair=True).healthy
        assert spent(store)[0] == 0
        assert examine(store).findings == []


def test_files_that_others_can_use_are_closed(tmp_path: Path) -> None:
    """A store that was copied or made readable for all is the owner's again; its group is left as it is."""
    path = tmp_path / "costs.budgets.db"
    with SQLiteBudgetStore(path) as store:
        assert examine(store).findings == []
        path.chmod(0o664)
        found = examine(store)
        assert (kinds(found), found.healthy) == (["mode"], False)
        assert "(mode 664)" in found.findings[0].message
        assert examine(store, repair=True).healthy
        assert path.stat().st_mode & 0o777 == 0o660


def test_a_network_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks do not hold there, and nothing can be repaired."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nhost:/export {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(doctor, "_MOUNTS", mounts)
    with SQLiteBudgetStore(tmp_path / "costs.budgets.db") as store:
        seen = examine(store, repair=True)
        assert (kinds(seen), seen.healthy) == (["disk"], False)


def test_the_innermost_mount_counts() -> None:
    """A local disk below a network disk is local; a name that only begins alike is another place."""
    mounts = "a / ext4 rw\nb /srv nfs rw\nc /srv/local xfs rw\nbroken line\n"
    assert [disk_of(Path(path), mounts) for path in ("/x", "/srv/x", "/srv/local/x", "/srvx")] == [
        "ext4",
        "nfs",
        "xfs",
        "ext4",
    ]
    assert disk_of(Path("/x"), "") == ""


def test_repair_forgets_old_answers(store: BudgetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answered approvals go after their time, and only with repair."""
    asked = Approval(
        id="q1",
        scope="run=r1",
        window="total",
        unit="",
        title="no progress",
        thread=None,
        run="r1",
        message="The run repeats itself.",
        limit=0,
        spent=0,
        needed=0,
        resume="",
        asked_at=datetime.now(UTC),
    )
    answered = answer(store, ask(store, asked).id, "approve")
    assert examine(store, repair=True).forgotten == 0
    monkeypatch.setattr(doctor, "ANSWERS_KEPT_S", -1)
    assert examine(store).forgotten == 0
    assert find(store, "q1") == answered
    assert examine(store, repair=True).forgotten == 1
    assert find(store, "q1") is None
