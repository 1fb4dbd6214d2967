import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import IO

import pytest
from rich.console import Console

from langchain_agentcost.demo.person import Person
from langchain_agentcost.demo.screen import Screen
from langchain_agentcost.limits.approvals import Approval, answer, ask, find, pending
from langchain_agentcost.limits.budget import in_whole
from langchain_agentcost.limits.holds import BudgetStore, Line
from langchain_agentcost.limits.store import open_store

SCOPE = "demo budget:usd|deployment=demo"
CENT = in_whole("usd", "0.01")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[BudgetStore]:
    """A store where a call waits: a cent is the limit, most of it is spent, and a question is asked."""
    opened = open_store(tmp_path / "demo.budgets.db")
    opened.reserve("earlier", [Line(SCOPE, CENT, CENT - 1)])
    opened.settle("earlier", [CENT - 1])
    ask(
        opened,
        Approval(
            id="q1",
            scope=SCOPE,
            window="total",
            unit="usd",
            title="demo budget",
            thread="t1",
            run="r1",
            message="There is no room.",
            limit=CENT,
            spent=CENT - 1,
            needed=CENT // 2,
            resume="",
            asked_at=datetime.now(UTC),
        ),
    )
    yield opened
    opened.close()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[IO[str]]:
    """What is typed: a pipe that stands for the standard input."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin, os.fdopen(writing, "w") as typed:
        monkeypatch.setattr("sys.stdin", stdin)
        yield typed


def person(store: BudgetStore) -> tuple[Person, io.StringIO]:
    """Make somebody who is asked, and what they see."""
    seen = io.StringIO()
    screen = Screen(Console(file=seen, width=200))
    return Person(store, screen, command="langchain-agentcost budgets approve demo.db"), seen


def limit(store: BudgetStore) -> Decimal:
    """Give the limit as it stands, in USD."""
    (account,) = store.accounts([(SCOPE, "total")])
    return Decimal(account.cap) / 10**9


def test_the_person_reads_what_there_is_to_decide_on(store: BudgetStore, keys: IO[str]) -> None:
    """Limit, spent, needed, who waits, and the whole command for another terminal are on the screen."""
    asked, seen = person(store)
    keys.write("a\n")
    keys.flush()
    assert asked.decide("q1", who="Ticket 4/10") == "approve"
    for said in ("Ticket 4/10 waits", "$0.01", "$0.009999999", "$0.005", "budgets approve demo.db q1\n"):
        assert said in seen.getvalue()


@pytest.mark.parametrize(
    ("typed", "decision", "cap"),
    [
        ("a", "approve", "0.02"),
        ("Approve", "approve", "0.02"),
        ("d", "deny", "0.01"),
        ("r 0.03", "approve", "0.04"),
        ("raise $0.03", "approve", "0.04"),
    ],
)
def test_an_answer_is_in_the_store_before_the_run_goes_on(
    store: BudgetStore, keys: IO[str], typed: str, decision: str, cap: str
) -> None:
    """Approve grants the limit once more, raise the amount, deny nothing; and no question is left open."""
    keys.write(f"{typed}\n")
    keys.flush()
    assert person(store)[0].decide("q1", who="Somebody") == decision
    assert limit(store) == Decimal(cap)
    assert pending(store) == ()


def test_what_is_no_answer_is_asked_again(store: BudgetStore, keys: IO[str]) -> None:
    """Empty lines, other words and amounts that cannot be decide nothing; the next line can, if it is the last."""
    asked, seen = person(store)
    keys.write("\nyes please\nr\nr 0\nr -1\nr lots\na lot\na")
    keys.close()
    assert asked.decide("q1", who="Somebody") == "approve"
    assert seen.getvalue().count("[d]eny") == 8
    assert limit(store) == Decimal("0.02")


def test_an_answer_from_elsewhere_ends_the_question(store: BudgetStore, keys: IO[str]) -> None:
    """Whoever answered in the store was first: the terminal need not."""
    answer(store, "q1", "approve", raise_by=5 * CENT)
    keys.close()
    asked, seen = person(store)
    assert asked.decide("q1", who="Somebody") == "approve"
    assert "Answered from another terminal" in seen.getvalue()
    assert limit(store) == Decimal("0.06")


def test_the_end_of_the_input_is_a_no(store: BudgetStore, keys: IO[str]) -> None:
    """Where nobody can type any more, the question is denied, now and whenever it is asked again."""
    keys.close()
    asked, seen = person(store)
    assert asked.decide("q1", who="Somebody") == "deny"
    assert "nobody can answer" in seen.getvalue()
    known = find(store, "q1")
    assert known is not None
    assert known.status == "denied"
    with pytest.raises(LookupError, match="q2"):
        asked.decide("q2", who="Somebody")
