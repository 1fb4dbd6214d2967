"""What limits must not let slip: found by reviewers, each once seen to fail."""

from __future__ import annotations

import operator
import time
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

from langchain_agentcost import Budget, BudgetExceeded, CostMeter, LimitReached, budget
from langchain_agentcost.errors import LimitUnavailable
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.limits.holds import Line
from langchain_agentcost.limits.memory import MemoryBudgetStore
from tests.meter.test_budgets import PRICES, calls_until_stopped, cents_model, meter_with, of
from tests.meter.test_budgets_shared import Flaky


class State(TypedDict):
    """What nodes have done."""

    done: Annotated[list[str], operator.add]


class Unreadable:
    """A label that cannot be read."""

    def __str__(self) -> str:
        """Fail."""
        raise RuntimeError("unreadable")


def test_a_call_whose_labels_cannot_be_read_is_not_made() -> None:
    """A fault before the limits are looked at holds the call back, as one in them does."""
    meter = meter_with(Budget(usd=0, per="session"))
    with pytest.warns(match="unreadable"), pytest.raises(LimitUnavailable, match="unreadable"):
        cents_model().invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session_id": Unreadable()}})


def test_an_odd_retry_tag_is_no_way_round_a_budget() -> None:
    """A tag that looks like an attempt and is no number is only a tag."""
    meter = meter_with(Budget(usd=0))
    with pytest.raises(BudgetExceeded):
        cents_model().invoke("Hi", {"callbacks": meter.callbacks, "tags": ["retry:attempt:²"]})


def test_a_trip_holds_for_its_account_and_not_for_the_next_node() -> None:
    """A node that has used up its own budget, and says so, does not stop another one that has money left."""
    meter = meter_with(Budget(llm_calls=1, per="node"))

    def greedy(state: State) -> dict[str, list[str]]:
        try:
            for _ in range(3):
                cents_model().invoke("Hi")
        except LimitReached:
            return {"done": ["stopped"]}
        return {"done": ["never"]}

    def modest(state: State) -> dict[str, list[str]]:
        cents_model().invoke("Hi")
        return {"done": ["modest"]}

    builder = StateGraph(State)
    builder.add_node("greedy", greedy)
    builder.add_node("modest", modest)
    builder.add_edge(START, "greedy")
    builder.add_edge("greedy", "modest")
    builder.add_edge("modest", END)
    assert builder.compile().invoke({"done": []}, {"callbacks": meter.callbacks}) == {"done": ["stopped", "modest"]}


def test_a_run_whose_first_call_was_refused_goes_on_with_its_account_once_it_is_approved() -> None:
    """An approval is for the run that asked, also where it has made no call yet."""
    meter = meter_with(Budget(llm_calls=0, on_limit="interrupt"))
    builder = StateGraph(State)
    builder.add_node("ask", lambda state: {"done": [str(cents_model().invoke("Hi").content)]})
    builder.add_edge(START, "ask")
    app = builder.compile(checkpointer=InMemorySaver())
    config: Any = {"callbacks": meter.callbacks, "configurable": {"thread_id": "t"}}
    app.invoke({"done": []}, config)
    assert app.invoke(Command(resume={"raise_by": 1}), config) == {"done": ["OK"]}


@pytest.mark.parametrize("action", ["warn", print, "drain"])
def test_a_frozen_account_grants_nothing_whatever_its_action(action: Any) -> None:
    """Freezing is a person's stop, stronger than a budget that only watches."""
    store = MemoryBudgetStore()
    meter = meter_with(Budget(usd=1, per="session", on_limit=action), store=store)
    assert calls_until_stopped(meter, cents_model(), of(session="s"), most=1) == 1
    (account,) = store.accounts()
    store.freeze(account.scope)
    with pytest.raises(BudgetExceeded, match="frozen"):
        cents_model().invoke("Hi", {"callbacks": meter.callbacks, "metadata": {"session": "s"}})


def test_a_budget_that_only_watches_shortens_no_answer() -> None:
    """Neither in observe mode nor with "warn" is a permit smaller than what was asked for."""
    for meter in (
        CostMeter(budgets=[Budget(output_tokens=10, per="call"), Budget(output_tokens=10)], mode="observe"),
        CostMeter(
            budgets=[Budget(output_tokens=10, per="call", on_limit="warn"), Budget(output_tokens=10, on_limit="warn")]
        ),
    ):
        with meter.permit([], model="gpt-5-mini", settings={"max_tokens": 700}, least_output_tokens=1) as permit:
            assert permit.output_tokens == 700


def test_two_meters_with_other_budgets_share_a_store() -> None:
    """Each reserves for itself, and neither refuses a call because of the other."""
    store = MemoryBudgetStore()
    one = meter_with(Budget(usd=1, per="session", name="one"), store=store)
    two = meter_with(Budget(usd=1, per="session", name="two"), store=store)
    cents_model().invoke("Hi", {"callbacks": [one, two], "metadata": {"session": "s"}})
    assert [(a.spent, a.reserved) for a in store.accounts()] == [(10_000_000, 0)] * 2


def test_a_block_counts_a_call_once_though_two_meters_price_it_differently() -> None:
    """Whoever comes first reserves for both."""
    dear = CostMeter(prices={"models": [{"model": "cents", "input": 0, "output": 20_000}]})
    with budget(llm_calls=1) as block:
        cents_model().invoke("Hi", {"callbacks": [CostMeter(prices=PRICES), dear]})
    assert block.remaining[0].spent == 1


def test_the_time_of_a_blocks_runs_is_kept_to_their_end() -> None:
    """What a run takes after its last call counts for the block as well."""
    with budget(wall_time_s=0.05) as block:
        RunnableLambda(lambda _: cents_model(latency_s=0.1).invoke("Hi")).invoke(None)
        with pytest.raises(BudgetExceeded, match=r"0\.05 s"):
            cents_model().invoke("Hi")
    assert block.remaining[0].spent > 0


def test_holds_of_a_block_never_expire() -> None:
    """A block lives and dies with its process: nothing is taken back from a call that takes long."""
    with budget(llm_calls=1) as block:
        block.limiter.store.reserve("long", [Line("scope", limit=1, fixed=1)], ttl_s=0.001)
        time.sleep(0.01)
        assert block.limiter.store.sweep() == 0


def test_in_observe_mode_a_full_account_is_told_of_once() -> None:
    """A log line for each call over the limit helps nobody."""
    told: list[Alert] = []
    meter = meter_with(Budget(llm_calls=1), mode="observe", alerts=[told.append])
    assert calls_until_stopped(meter, cents_model(), most=6) == 6
    assert [alert.kind for alert in told].count("would_deny") == 1


def test_a_store_that_fails_leaves_nothing_reserved_in_a_block() -> None:
    """All or nothing holds over stores too: what the block granted is given back when the budgets cannot be asked."""
    store = Flaky()
    meter = meter_with(Budget(usd=1), store=store)
    store.down = True
    with budget(llm_calls=5) as block:
        with pytest.raises(LimitUnavailable):
            cents_model().invoke("Hi", {"callbacks": meter.callbacks})
        assert block.remaining[0].reserved == 0
