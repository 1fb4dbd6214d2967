"""A thread goes on in another process where it was: with its budgets, its run and its questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from langchain_agentcost.limits import approvals
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.store import open_store
from tests.canned_provider import CannedProvider, Reply, openai_chat
from tests.meter.halting.chain import CALLS, Chain
from tests.meter.halting.world import USAGE, allowing, world

ASKED: Any = {"messages": []}
QUICK = openai_chat("Hello there", usage=USAGE)
SLOW = Reply(QUICK, delay_s=0.5)

Make = Callable[..., Chain]


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Load once what the processes would each load: they are forked from this one."""
    with world(allowing(1)) as w:
        w.model.invoke("Hi", w.config)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Make]:
    """Makes a chain whose provider is slow with the calls of these numbers."""
    opened: list[CannedProvider] = []

    def make(*budgets: Budget, slow: tuple[int, ...] = ()) -> Chain:
        replies = [SLOW if number in slow else QUICK for number in range(1, max(slow, default=0) + 2)]
        opened.append(CannedProvider(*replies).__enter__())
        return Chain(tmp_path, opened[-1], budgets)

    yield make
    for provider in opened:
        provider.__exit__()


def test_killed_and_resumed_and_asked_and_answered(chain: Make) -> None:
    """Through a kill -9 in mid-call, a question, and an answer, each in a process of its own, the budgets go on.

    The call that was killed has one hold, which the call that is made in its place takes over.
    """
    at = chain(allowing(2, per="run", on_limit="interrupt"), allowing(9), slow=(2,))
    at.killed_in_call(ASKED, 2)
    assert [hold.state for hold in at.holds()] == ["posted", "pending"]

    told = at.elsewhere(None)
    [asked] = told["asked"]
    assert (asked["limit"], asked["spent"], asked["thread"]) == ("2", "2", "t1")
    assert [hold.state for hold in at.holds()] == ["posted", "posted"]

    done = at.elsewhere(asked["resume"])
    assert (done["error"], done["answers"]) == (None, CALLS)
    assert len(at.provider.requests) == CALLS + 1  # the killed one was paid, and nobody can say so
    run, session = at.accounts()["run"], at.accounts()["session"]
    assert (run.spent, run.cap, run.reserved) == (CALLS, CALLS, 0)
    assert (session.spent, session.cap, session.reserved) == (CALLS, 9, 0)
    assert {entry.attribution.run for entry in at.entries()} == {asked["run"]}


def test_asked_before_anything_was_paid(chain: Make) -> None:
    """Also a run whose very first call asks is known to whoever answers."""
    at = chain(allowing(0, per="run", on_limit="interrupt"))
    [asked] = at.elsewhere(ASKED)["asked"]
    told = at.elsewhere(asked["resume"].replace("'approve'", f"{{'raise_by': {CALLS}}}"))
    assert (told["error"], told["answers"]) == (None, CALLS)
    assert (at.accounts()["run"].spent, at.accounts()["run"].cap) == (CALLS, CALLS)
    assert {entry.attribution.run for entry in at.entries()} == {asked["run"]}


@pytest.mark.parametrize("per", ["run", "session"])
def test_no_process_gets_a_fresh_cap(chain: Make, per: str) -> None:
    """However often it is killed and started again, the thread is held to the one budget that it has."""
    at = chain(allowing(3, per=per), slow=(2, 3))
    at.killed_in_call(ASKED, 2)
    at.killed_in_call(None, 3)
    assert at.elsewhere(None)["error"] == "BudgetExceeded"
    assert at.elsewhere(None)["error"] == "BudgetExceeded"
    account = at.accounts()[per]
    assert (account.spent, account.reserved) == (3, 0)
    assert len(at.provider.requests) == 3 + 2


@pytest.mark.parametrize("decision", ["approve", "deny"])
def test_answered_in_the_store_by_another_process(chain: Make, decision: Any) -> None:
    """The console answers on the store while nobody runs; whoever goes on with the thread finds the answer."""
    at = chain(allowing(2, per="session", on_limit="interrupt"))
    [asked] = at.go(ASKED)["asked"]
    with closing(open_store(at.store, create=False)) as store:
        [waiting] = approvals.pending(store)
        assert waiting.id == asked["approval"]
        approvals.answer(store, waiting.id, decision, raise_by=2 if decision == "approve" else None)
    told = at.elsewhere(None)
    assert (told["error"], told["answers"]) == ((None, CALLS) if decision == "approve" else ("BudgetExceeded", 0))
    assert len(at.provider.requests) == (CALLS if decision == "approve" else 2)


def test_the_same_process_goes_on_too(chain: Make) -> None:
    """A run that was stopped and is resumed by `invoke(None, …)` is the run that it was."""
    at = chain(allowing(2, per="run"))
    assert at.go(ASKED)["error"] == "BudgetExceeded"
    assert at.go(None)["error"] == "BudgetExceeded"
    assert (at.accounts()["run"].spent, len(at.provider.requests)) == (2, 2)
    assert len({entry.attribution.run for entry in at.entries()}) == 1


def test_a_new_question_of_a_thread_is_a_new_run(chain: Make) -> None:
    """New input starts a run with a budget of its own; what is per session goes on."""
    at = chain(allowing(CALLS, per="run"), allowing(CALLS + 1))
    assert at.go(ASKED)["error"] is None
    assert at.go(ASKED)["error"] == "BudgetExceeded"
    assert at.accounts()["session"].spent == len(at.provider.requests) == CALLS + 1
