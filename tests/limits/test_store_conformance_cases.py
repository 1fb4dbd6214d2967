"""What every budget store does, case by case; `test_store_conformance` has any sequence of steps."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from langchain_agentcost.errors import StoreUnavailable
from langchain_agentcost.limits import memory
from langchain_agentcost.limits.holds import BudgetStore, Denied, Granted, Line, Window
from langchain_agentcost.limits.memory import MemoryBudgetStore
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore
from tests.limits.budget_model import start_of
from tests.limits.stores import Clock, Opens, put


def test_two_calls_do_not_see_the_same_room(store: BudgetStore) -> None:
    """What one call holds is not there for the next, before anything is settled."""
    assert isinstance(put(store, "h1", 10, 6), Granted)
    assert put(store, "h2", 10, 6) == Denied(0, store.accounts()[0], needed=6, output_tokens=-1)


def test_a_shorter_answer_is_granted(store: BudgetStore) -> None:
    """Where there is room for a shorter answer that is worth having, it is granted, by the tightest account."""
    lines = [Line("org", 100, 10, 2), Line("ann", 100, 40, 3)]
    granted = store.reserve("h1", lines, output_tokens=50, least_output_tokens=10)
    assert isinstance(granted, Granted)
    assert (granted.output_tokens, [account.reserved for account in granted.accounts]) == (20, [50, 100])
    denied = store.reserve("h2", lines, output_tokens=50, least_output_tokens=10)
    assert isinstance(denied, Denied)
    assert (denied.line, denied.needed, denied.output_tokens) == (1, 70, -1)


def test_all_accounts_or_none(store: BudgetStore) -> None:
    """A hold that one account denies leaves nothing on the others, and makes them known all the same."""
    assert isinstance(store.reserve("h1", [Line("org", 100, 5), Line("ann", 4, 5)]), Denied)
    assert [(a.scope, a.limit, a.reserved) for a in store.accounts()] == [("ann", 4, 0), ("org", 100, 0)]


def test_a_lease_that_ended_makes_room(opens: Opens, tmp_path: Path) -> None:
    """A denial first expires what is due on its own accounts, and nothing on others."""
    clock = Clock()
    store = opens(tmp_path, clock)
    put(store, "h1", 10, 10)
    store.reserve("h2", [Line("ann", 10, 10)])
    clock.now_s += 61
    assert isinstance(put(store, "h3", 10, 9), Granted)
    assert [hold.state for hold in store.holds()] == ["expired", "pending", "pending"]
    store.close()


def test_a_late_settle_reverses_what_was_charged_as_lost(opens: Opens, tmp_path: Path) -> None:
    """A call that is heard of after its lease ended is charged what it took, and no more."""
    clock = Clock()
    store = opens(tmp_path, clock)
    put(store, "h1", 10, 10)
    clock.now_s += 61
    assert (store.sweep(), store.accounts()[0].spent) == (1, 1)
    settled = store.settle("h1", [7])
    assert (settled.applied, settled.before, settled.accounts[0].spent) == (True, (1,), 7)
    assert not store.settle("h1", [7]).applied
    store.close()


def test_another_call_on_the_same_hold_is_posted_beside(store: BudgetStore) -> None:
    """A run that was killed and run again under the same id pays for both calls; each is kept, and counts once."""
    store.reserve("h1", [Line("org", 10, 6)], call_id="c1")
    assert [store.settle("h1", [5], call_id=call).applied for call in ("c1", "c2", "c2", "c1")] == [
        True,
        True,
        False,
        False,
    ]
    assert [(hold.call_id, hold.taken) for hold in store.holds()] == [("c1", (5,)), ("c2", (5,))]
    assert (store.accounts()[0].spent, store.accounts()[0].headroom) == (10, 0)


@pytest.mark.parametrize(("window", "passing_s"), [("hour", 3600), ("day", 3600), ("month", 3600)])
def test_a_new_window_has_its_whole_limit(opens: Opens, tmp_path: Path, window: Window, passing_s: float) -> None:
    """After the window's end there is room again; what settles late counts where it was reserved."""
    clock = Clock()
    store = opens(tmp_path, clock)
    put(store, "h1", 10, 10, window)
    assert isinstance(put(store, "h2", 10, 1, window), Denied)
    clock.now_s += passing_s
    assert isinstance(put(store, "h3", 10, 10, window), Granted)
    assert store.settle("h1", [10]).accounts[0].window_start == start_of(window, clock.now_s - passing_s)
    assert [(a.spent, a.reserved, a.window_start) for a in store.accounts()] == [(0, 10, start_of(window, clock.now_s))]
    store.close()


def test_a_frozen_account_stays_frozen_in_the_next_window(opens: Opens, tmp_path: Path) -> None:
    """Midnight opens nothing that a person closed; a raise is for the window that it was made in."""
    clock = Clock()
    store = opens(tmp_path, clock)
    put(store, "h1", 10, 1, "day")
    store.freeze("org", window="day")
    store.raise_limit("org", 5, window="day")
    clock.now_s += 3600
    assert isinstance(put(store, "h2", 10, 0, "day"), Denied)
    store.freeze("org", frozen=False, window="day")
    assert isinstance(put(store, "h2", 10, 10, "day"), Granted)
    assert store.accounts()[0].raised == 0
    store.close()


def test_an_account_can_be_closed_before_its_window_is_used(opens: Opens, tmp_path: Path) -> None:
    """A scope that was used yesterday can be frozen today before its first call."""
    clock = Clock()
    store = opens(tmp_path, clock)
    put(store, "h1", 10, 1, "day")
    clock.now_s += 3600
    assert store.freeze("org", window="day").limit == 10
    assert isinstance(put(store, "h2", 10, 1, "day"), Denied)
    store.close()


def test_a_raise_counts_once(store: BudgetStore) -> None:
    """A raise under a note is not made again where the note is there, also not after another one."""
    put(store, "h1", 10, 1)
    caps = [store.raise_limit("org", by, once=once).cap for by, once in ((5, "r1"), (5, "r1"), (2, None), (5, "r2"))]
    assert caps == [15, 15, 17, 22]
    assert store.notes("r") == {"r1": "5", "r2": "5"}


def test_a_raise_beyond_all_sense_is_refused(store: BudgetStore) -> None:
    """A raise that does not fit into 64 bits with others changes nothing."""
    put(store, "h1", 10, 1)
    with pytest.raises(ValueError, match="cannot be raised by"):
        store.raise_limit("org", 2**62)
    assert store.accounts()[0].cap == 10


def test_notes_are_compared_and_set(store: BudgetStore) -> None:
    """A note is written only where it is what was expected, and found by how its key starts."""
    assert store.set_note("a:1", "x", expected=None)
    assert not store.set_note("a:1", "y", expected=None)
    assert not store.set_note("a:1", "y", expected="z")
    assert store.set_note("a:1", "y", expected="x")
    assert store.set_note("a:2", "é", expected=None)
    assert store.set_note("b", "w", expected=None)
    assert (store.note("a:1"), store.note("a:3"), store.notes("a:")) == ("y", None, {"a:1": "y", "a:2": "é"})
    assert store.set_note("a:1", None, expected="y")
    assert store.set_note("a:3", None, expected=None)
    assert list(store.notes("")) == ["a:2", "b"]


@pytest.mark.parametrize(
    "lines", [[], [Line("org", 9, 1), Line("org", 8, 1)], [Line("org", 9, -1)], [Line("org", 9, 2**60, enforced=False)]]
)
def test_lines_that_cannot_be_are_refused(store: BudgetStore, lines: list[Line]) -> None:
    """No line, two of one account, and amounts that no store can keep leave nothing behind."""
    with pytest.raises(ValueError, match=r"line|most"):
        store.reserve("h1", lines)
    assert list(store.holds()) == []


@pytest.mark.parametrize(
    ("hold_id", "line", "arguments"),
    [
        ("h1", Line("org", 9, 1), {"output_tokens": -5}),
        ("h1", Line("org", 9, 1), {"output_tokens": 5, "least_output_tokens": -1}),
        ("h1", Line("org", 9, 1), {"output_tokens": 1.5}),
        ("h1", Line("org", 9, 1), {"ttl_s": float("inf")}),
        ("h1", Line("org", 9, 1), {"ttl_s": float("nan")}),
        ("h1", Line("org", 9, 1), {"ttl_s": -1.0}),
        ("h1", Line("org", 9, 1), {"ttl_s": 1e15}),
        ("h1", Line("org", 2**63, 1), {}),
        ("h1", Line("org", 9, 1.5), {}),  # type: ignore[arg-type]
        ("h1", Line("or\ud800g", 9, 1), {}),
        ("\ud800", Line("org", 9, 1), {}),
    ],
)
def test_a_wish_that_no_store_can_keep_is_refused(
    store: BudgetStore, hold_id: str, line: Line, arguments: dict[str, Any]
) -> None:
    """Every store refuses the same wishes with the same error, and nothing is left behind."""
    with pytest.raises(ValueError, match=r"cannot|surrogate"):
        store.reserve(hold_id, [line], **arguments)
    assert (list(store.holds()), store.accounts()) == ([], ())


def test_what_no_store_can_keep_is_refused_elsewhere(store: BudgetStore) -> None:
    """Renewals and notes are held to the same."""
    put(store, "h1", 10, 5)
    with pytest.raises(ValueError, match="cannot last"):
        store.extend("h1", ttl_s=float("nan"))
    with pytest.raises(ValueError, match="lone surrogate"):
        store.set_note("\ud800", "x", expected=None)
    with pytest.raises(ValueError, match="lone surrogate"):
        store.set_note("x", "\ud800", expected=None)


def test_a_hold_may_have_any_number_of_lines(store: BudgetStore) -> None:
    """More accounts than one statement can ask for are asked for all the same."""
    granted = store.reserve("h1", [Line(f"a{number}", 9, number % 7) for number in range(600)])
    assert [account.reserved for account in granted.accounts] == [number % 7 for number in range(600)]  # type: ignore[union-attr]
    assert len(store.settle("h1", [1] * 600).accounts) == 600


@pytest.mark.parametrize("taken", [[], [1, 2], [-1], [2**60], [1.5]])
def test_amounts_that_cannot_be_are_refused(store: BudgetStore, taken: list[int]) -> None:
    """A settle needs one amount for each line, none below zero."""
    put(store, "h1", 10, 5)
    with pytest.raises(ValueError, match=r"lines|cannot have taken"):
        store.settle("h1", taken)
    assert store.accounts()[0].reserved == 5


def test_a_closed_store_says_so(store: BudgetStore) -> None:
    """Nothing is granted by a store that was closed; closing twice is harmless."""
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="was closed"):
        put(store, "h1", 10, 5)


def test_a_settle_within_a_step_is_part_of_it(opens: Opens, tmp_path: Path) -> None:
    """The garbage collector may close an abandoned stream, and so settle it, in the middle of another step."""

    class Interrupting(Clock):
        settles: list[str]

        def __call__(self) -> float:
            if self.settles:
                opened.settle(self.settles.pop(), [3])
            return self.now_s

    clock = Interrupting()
    clock.settles = []
    opened = opens(tmp_path, clock)
    put(opened, "h1", 10, 5)
    clock.settles.append("h1")
    assert isinstance(put(opened, "h2", 10, 7), Granted)
    assert [(a.spent, a.reserved) for a in opened.accounts()] == [(3, 7)]
    assert [hold.state for hold in opened.holds()] == ["posted", "pending"]
    opened.close()


def test_drift_is_found_and_repaired(opens: Opens, tmp_path: Path) -> None:
    """An account that was changed behind the store's back is named, and follows from its holds again."""
    store = opens(tmp_path, Clock())
    put(store, "h1", 10, 5)
    put(store, "h2", 10, 5)
    store.settle("h1", [4])
    tamper(store)
    (drift,) = store.reconcile(repair=True)
    assert (drift.spent, drift.spent_by_holds, drift.reserved, drift.reserved_by_holds) == (104, 4, 5, 5)
    assert (store.reconcile(), store.accounts()[0].spent) == ((), 4)
    store.close()


def tamper(store: BudgetStore) -> None:
    """Change an account as no step would."""
    if isinstance(store, SQLiteBudgetStore):
        connection = sqlite3.connect(store.path)
        connection.execute("UPDATE account SET spent = spent + 100")
        connection.commit()
        connection.close()
    elif isinstance(store, MemoryBudgetStore):
        for account in store._accounts.values():
            account.spent += 100


def test_memory_keeps_a_bounded_number_of_finished_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest finished holds are forgotten, and what they took is not."""
    monkeypatch.setattr(memory, "FINISHED_KEPT", 3)
    store = MemoryBudgetStore(clock=Clock())
    for number in range(5):
        put(store, f"h{number}", 10, 1)
        store.settle(f"h{number}", [1])
    assert [hold.id for hold in store.holds()] == ["h2", "h3", "h4"]
    assert (store.accounts()[0].spent, store.reconcile()) == (5, ())


def test_a_lease_can_be_cut_short(opens: Opens, tmp_path: Path) -> None:
    """A renewal counts from now, also where it ends before the lease that it replaces."""
    clock = Clock()
    store = opens(tmp_path, clock)
    put(store, "h1", 10, 10)
    assert store.sweep() == 0
    assert store.extend("h1", ttl_s=5)
    clock.now_s += 6
    assert store.sweep() == 1
    store.close()


def test_the_shortest_answer_is_no_longer_than_the_longest(store: BudgetStore) -> None:
    """A least that is above what is asked for asks for just that."""
    assert isinstance(store.reserve("h1", [Line("org", 10, 1, 1)], output_tokens=5, least_output_tokens=9), Granted)
    assert isinstance(store.reserve("h2", [Line("org", 10, 1, 1)], output_tokens=5, least_output_tokens=9), Denied)
