from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.types import Command

from langchain_agentcost.checkpoint import CostCheckpointer
from langchain_agentcost.errors.limits import BudgetExceeded
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.sqlite import SQLiteBudgetStore
from tests.checkpoint.cents import ASK, acalling, calling, cent_model, chain, checkpointer, on
from tests.checkpoint.test_stamps import beside

USD = Budget(usd="0.035", per="session")
CALLS = Budget(llm_calls=4, per="session")


def made(savers: Iterable[CostCheckpointer], *, thread: str = "t", **config: Any) -> int:
    """How many calls of one thread are made, run after run, until a budget stops one."""
    node = calling(cent_model().bind(max_tokens=1))
    for before, saver in enumerate(savers):
        try:
            chain(node).compile(checkpointer=saver).invoke(ASK, on(saver, thread) | cast("RunnableConfig", config))
        except BudgetExceeded:
            return before
    raise AssertionError("No budget stopped it.")


@pytest.mark.parametrize("budget", [USD, CALLS, Budget(input_tokens=150_000, per="session")])
def test_a_thread_has_its_budget_in_a_new_process(budget: Budget, tmp_path: Path) -> None:
    """A thread whose every run is in a new process is stopped at the same call as in one process."""
    alone = checkpointer(InMemorySaver(), budgets=[budget])
    with SqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as inner:
        moving = made(checkpointer(inner, budgets=[budget]) for _ in range(9))
    assert moving == made([alone] * 9) == 4


def test_a_store_that_knows_is_left_as_it_is(tmp_path: Path) -> None:
    """With budgets that processes share, nothing is added: what is restored counts once."""
    inner = InMemorySaver()
    with SQLiteBudgetStore(str(tmp_path / "budgets.db")) as store:
        savers = [checkpointer(inner, budgets=[USD, CALLS], store=store) for _ in range(9)]
        assert made(savers) == 4
        assert {account.spent for account in store.accounts()} == {4, 40_000_000}
        assert store.reconcile() == ()


def test_another_thread_has_its_own_budget() -> None:
    """What one thread has spent is no other's, and a tenant's budget is not restored from a thread."""
    inner = InMemorySaver()
    first = checkpointer(inner, budgets=[CALLS])
    assert made([first] * 9) == 4
    second = checkpointer(inner, budgets=[CALLS, Budget(llm_calls=100, per="tenant")])
    assert made([second] * 9, thread="other", metadata={"tenant": "acme"}) == 4
    with pytest.raises(BudgetExceeded):
        chain(calling(cent_model())).compile(checkpointer=second).invoke(ASK, on(second))


def test_what_was_left_for_a_branch_counts(tmp_path: Path) -> None:
    """A budget counts the branch that was left, too: it was paid for."""
    inner = InMemorySaver()
    saver = checkpointer(inner)
    graph = chain(calling(cent_model()), calling(cent_model())).compile(checkpointer=saver)
    graph.invoke(ASK, on(saver))
    first = list(graph.get_state_history(on(saver)))[-2]
    graph.invoke(None, {**first.config, "callbacks": saver.meter.callbacks})
    saver = checkpointer(inner, budgets=[CALLS])
    with pytest.raises(BudgetExceeded):
        chain(calling(cent_model())).compile(checkpointer=saver).invoke(ASK, on(saver))


def test_a_run_that_waited_has_its_budget_in_a_new_process() -> None:
    """A run that another process goes on with is the same run, and has spent what it had."""

    def graph(saver: CostCheckpointer) -> Any:
        return beside().compile(checkpointer=saver)

    inner, budget = InMemorySaver(), Budget(llm_calls=3, per="run")
    saver = checkpointer(inner, budgets=[budget])
    graph(saver).invoke(ASK, on(saver))
    saver = checkpointer(inner, budgets=[budget])
    with pytest.raises(BudgetExceeded) as stopped:  # two calls before, one when it goes on, and one too many
        graph(saver).invoke(Command(resume="yes"), on(saver))
    assert stopped.value.spent == 3
    saver = checkpointer(inner, budgets=[budget])
    graph(saver).invoke(ASK, on(saver, "another"))


async def test_async_threads_have_their_budget(tmp_path: Path) -> None:
    """Async graphs are stopped at the same call."""
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "threads.db")) as inner:
        for _ in range(4):
            saver = checkpointer(inner, budgets=[CALLS])
            await chain(acalling(cent_model())).compile(checkpointer=saver).ainvoke(ASK, on(saver))
        saver = checkpointer(inner, budgets=[CALLS])
        with pytest.raises(BudgetExceeded):
            await chain(acalling(cent_model())).compile(checkpointer=saver).ainvoke(ASK, on(saver))


@pytest.mark.parametrize(
    "budget",
    [
        Budget(llm_calls=1, per="session", window="day"),
        Budget(llm_calls=1, per="session", where={"node": "b"}),
        Budget(llm_calls=1, per=("session", "node")),
    ],
)
def test_what_a_thread_cannot_know_is_not_restored(budget: Budget) -> None:
    """Budgets of a day, or of a part of the calls, begin at nothing: a total says nothing of them."""
    inner = InMemorySaver()
    made_before = checkpointer(inner)
    chain(calling(cent_model())).compile(checkpointer=made_before).invoke(ASK, on(made_before))
    saver = checkpointer(inner, budgets=[budget])
    chain(calling(cent_model())).compile(checkpointer=saver).invoke(ASK, on(saver))


_PROCESS = """
import sys
from langgraph.checkpoint.sqlite import SqliteSaver
from langchain_agentcost.errors.limits import BudgetExceeded
from tests.checkpoint.cents import ASK, calling, cent_model, chain, checkpointer, on
from tests.checkpoint.test_restored_budgets import CALLS
with SqliteSaver.from_conn_string(sys.argv[1]) as inner:
    saver = checkpointer(inner, budgets=[CALLS])
    graph = chain(calling(cent_model()), calling(cent_model())).compile(checkpointer=saver)
    for run in range(3):
        try:
            graph.invoke(ASK, on(saver))
        except BudgetExceeded as stopped:
            print("stopped", run, stopped.spent)
            break
        if len(sys.argv) > 2:
            break
"""


def test_real_processes_share_a_threads_budget(tmp_path: Path) -> None:
    """One process spends half of a budget; another, whose budgets are in memory, is stopped where it ends."""
    run = [sys.executable, "-c", _PROCESS, str(tmp_path / "threads.db")]
    first = subprocess.run([*run, "once"], capture_output=True, text=True, check=True)
    second = subprocess.run(run, capture_output=True, text=True, check=True)
    assert (first.stdout.strip(), second.stdout.strip()) == ("", "stopped 1 4")


def test_a_meter_without_budgets_restores_nothing() -> None:
    """Where there are no budgets, threads are read all the same."""
    inner: BaseCheckpointSaver[Any] = InMemorySaver()
    for _ in range(2):
        saver = checkpointer(inner)
        chain(calling(cent_model())).compile(checkpointer=saver).invoke(ASK, on(saver))
        assert saver.meter.enforcer is None
