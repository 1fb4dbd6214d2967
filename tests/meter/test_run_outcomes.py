"""What a run achieved, what was thrown away, and what its prompts were made of."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost import CostMeter
from langchain_agentcost.meter.calls import PromptShape
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel

MODEL = FakeMeteredChatModel(model="gpt-4o-mini", counts=FakeCounts(1_000, 10))


def test_an_outcome_of_a_run_that_has_ended() -> None:
    """It is named by the run_id of the call, and carries the run's labels."""
    run_id = uuid4()
    with CostMeter() as meter:
        MODEL.invoke("Hi", {"callbacks": meter.callbacks, "run_id": run_id, "metadata": {"tenant": "acme"}})
        meter.record_outcome("resolved", "0.5", success=True, run=run_id)
        [outcome] = meter.ledger.entries(where={"kind": "outcome"})
    assert (outcome.name, outcome.value, outcome.success) == ("resolved", Decimal("0.5"), True)
    assert (outcome.attribution.run, outcome.attribution.tenant) == (str(run_id), "acme")


def test_inside_a_run_it_needs_no_name() -> None:
    """A node can say how its own run went."""
    with CostMeter() as meter:

        def node(state: MessagesState) -> dict[str, Any]:
            answer = MODEL.invoke(state["messages"])
            meter.record_outcome("resolved", success=True)
            meter.mark_abandoned(node="plan_b")
            return {"messages": [answer]}

        app = StateGraph(MessagesState).add_node("work", node).add_edge(START, "work").compile(name="desk")
        run_id = uuid4()
        asked: Any = {"messages": [HumanMessage("Hi")]}
        app.invoke(asked, {"callbacks": meter.callbacks, "run_id": run_id})
        outcomes = {entry.name: entry.attribution for entry in meter.ledger.entries(where={"kind": "outcome"})}
    assert outcomes["resolved"].run == str(run_id)
    assert (outcomes["abandoned"].run, outcomes["abandoned"].node) == (str(run_id), "plan_b")
    assert outcomes["resolved"].workflow == "desk"


def test_a_session_can_have_an_outcome() -> None:
    """Where it took several runs to get there."""
    with CostMeter() as meter:
        meter.record_outcome("bought", 12, success=True, session="s-1")
        [entry] = meter.ledger.entries()
    assert (entry.attribution.session, entry.attribution.run) == ("s-1", None)


def test_outside_of_everything_it_says_what_is_missing() -> None:
    """Neither run nor session, and no run around."""
    with CostMeter() as meter, pytest.raises(ValueError, match="Pass run="):
        meter.record_outcome("resolved", success=True)


@pytest.mark.parametrize("value", ["NaN", "many", float("inf"), True, "1e9999999", 10**18, "0.0000000001"])
def test_a_value_must_be_a_number_that_can_be_added(value: Any) -> None:
    """Amounts that are none, or that no sum could hold exactly, are refused where they are stated."""
    with CostMeter() as meter, pytest.raises(ValueError, match="An outcome's value"):
        meter.record_outcome("resolved", value, session="s")


class bool_:  # numpy's name
    """As numpy's booleans are: equal to 0 or 1, and not instances of bool."""

    def __init__(self, value: bool) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return self.value == other

    def __hash__(self) -> int:
        return hash(self.value)

    def __bool__(self) -> bool:
        return self.value


@pytest.mark.parametrize(
    ("given", "kept"), [(bool_(value=False), False), (bool_(value=True), True), (1, True), (0, False)]
)
def test_a_verdict_is_what_it_says(given: Any, kept: bool) -> None:
    """A False that is not Python's own is not a success."""
    with CostMeter() as meter:
        meter.record_outcome("resolved", success=given, session="s")
        [entry] = meter.ledger.entries()
    assert entry.success is kept


@pytest.mark.parametrize("given", ["no", "yes", 2, []])
def test_a_verdict_that_says_nothing_is_refused(given: Any) -> None:
    """A word is always true in Python, whatever it says."""
    with CostMeter() as meter, pytest.raises(ValueError, match="True, False or None"):
        meter.record_outcome("resolved", success=given, session="s")


def test_the_parts_of_a_prompt() -> None:
    """Re-sent history, tool descriptions and fresh tool results are told apart, and sum to the provider's count."""
    schema = {"type": "function", "function": {"name": "look_up", "description": "Look an order up. " * 20}}
    call = {"name": "look_up", "args": {"order": 1}, "id": "c1", "type": "tool_call"}
    history = [SystemMessage("Be kind. " * 400), HumanMessage("Where is it?"), AIMessage("", tool_calls=[call])]
    history.append(ToolMessage("packed " * 300, tool_call_id="c1"))
    with CostMeter() as meter:
        MODEL.bind(tools=[schema]).invoke(history, {"callbacks": meter.callbacks})
        [entry] = meter.ledger.entries()
    split = entry.split
    assert split is not None
    total = split.new_tokens + split.resent_tokens + split.tool_schema_tokens + split.tool_result_tokens
    assert total == 1_000
    assert split.tool_result_tokens > split.new_tokens > 0
    assert split.resent_tokens > 0
    assert split.tool_schema_tokens > 0


def test_a_streamed_answer_is_an_answer() -> None:
    """What a stream was merged into ends the history as any other answer does."""
    shape = PromptShape.of(
        [HumanMessage("Where is it?"), AIMessageChunk(content="Which order?"), HumanMessage("42")], ()
    )
    assert shape.has_history


def test_a_fee_per_task_is_paid_once_a_run() -> None:
    """With the first call, whatever it does afterwards."""
    prices = {"models": [{"model": "gpt-4o-mini", "input": 1, "output": 1, "task": "0.5"}]}
    with CostMeter(prices=prices) as meter:
        twice: Any = RunnableLambda(lambda text: [MODEL.invoke(text), MODEL.invoke(text)])
        twice.invoke("Hi", {"callbacks": meter.callbacks})
        assert [entry.cost.request for entry in meter.ledger.entries() if entry.cost] == [Decimal("0.5"), Decimal(0)]


def test_a_first_call_resends_nothing() -> None:
    """Without an answer in the prompt everything is new."""
    shape = PromptShape.of([SystemMessage("Be kind."), HumanMessage("Hi")], ())
    assert shape.split(500).resent_tokens == 0
    assert shape.split(500).new_tokens == 500


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.booleans(), st.integers(0, 10**7))
def test_the_parts_always_sum(new: int, results: int, schemas: int, history: bool, total: int) -> None:
    """Whatever our estimate says, the provider's total is what is divided."""
    split = PromptShape(new, results, schemas, has_history=history).split(total)
    parts = (split.new_tokens, split.resent_tokens, split.tool_schema_tokens, split.tool_result_tokens)
    assert sum(parts) == total
    assert min(parts) >= 0


def test_the_driver_report_sums_to_the_bill() -> None:
    """Every dollar is in exactly one driver."""
    with CostMeter() as meter:
        chain: Any = RunnableLambda(
            lambda text: MODEL.invoke([HumanMessage(text), AIMessage("so?"), HumanMessage("more")])
        )
        chain.batch(["a" * 40] * 3, {"callbacks": meter.callbacks})
        text = str(meter.report(by="driver"))
        [total] = meter.ledger.totals()
    assert "re-sent" in text.lower()
    assert total.cost.usd == 3 * (1_000 * Decimal("0.15") + 10 * Decimal("0.60")) / 1_000_000
