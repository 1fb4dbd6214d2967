"""At a limit an agent ends with an answer, however it is asked, and with a history that models take."""

from __future__ import annotations

from typing import Any

import pytest
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.types import Command
from pydantic import BaseModel

from langchain_agentcost import CostMeter
from langchain_agentcost.errors import BreakerTripped, BudgetExceeded, LimitUnavailable
from langchain_agentcost.limits.breakers import CircuitBreaker
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.middleware import default_answer
from tests.middleware.desk import (
    PRICE,
    QUESTION,
    WAYS,
    agent_of,
    config_of,
    last,
    looks_again,
    looks_twice,
    model_of,
    reserved,
    spent,
    unanswered,
)


class Place(BaseModel):
    """Where an order is."""

    city: str


def stopped_at(**budget: Any) -> CostMeter:
    """A meter that holds a session to a budget."""
    return CostMeter(budgets=[Budget(per="session", **budget)])


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_ends_with_what_was_reached_and_what_there_is(way: str) -> None:
    """At four calls' money there are four calls, the last one shortened, and then an answer in the agent's name."""
    meter, model = stopped_at(usd=4 * PRICE), model_of()
    state = WAYS[way](agent_of(meter, model), config_of(meter))
    assert len(model.prompts) == 4
    assert last(state).text == (
        "Budget reached: $0.0048 of $0.005 is used for this session, and the next call may take more than what is "
        "left. Here is what I have:\n\nOrder 3 is in Lyon.\n\nOrder 5 is in Lyon.\n\nOrder 7 is in Lyon."
    )
    assert 3 * PRICE < spent(meter) < 4 * PRICE
    assert reserved(meter) == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_limit_is_raised_where_that_is_asked_for(way: str) -> None:
    """With on_limit="raise" the agent's caller gets the exception, and the provider no further call."""
    meter, model = stopped_at(steps=2), model_of()
    with pytest.raises(BudgetExceeded, match="of 2 steps"):
        WAYS[way](agent_of(meter, model, on_limit="raise"), config_of(meter))
    assert len(model.prompts) == 2


def test_a_program_can_tell_the_answer_from_a_model_s() -> None:
    """The message says in its metadata that no model wrote it, in values that any checkpointer keeps."""
    meter = stopped_at(usd="0.0001")
    message = last(agent_of(meter).invoke(QUESTION, config_of(meter)))
    assert message.response_metadata == {
        "finish_reason": "limit_reached",
        "agentcost": {
            "error": "BudgetExceeded",
            "scope": "session budget:usd|session=s1",
            "limit": "0.0001",
            "spent": "0",
        },
    }
    assert message.usage_metadata is None
    assert message.tool_calls == []


def test_the_answer_is_streamed_like_a_model_s() -> None:
    """An app that shows messages as they come shows this one too."""
    meter = stopped_at(steps=0)
    parts = agent_of(meter).stream(QUESTION, config_of(meter), stream_mode="messages")
    assert [part.text for part, _ in parts] == [
        "Budget reached: 0 of 0 steps are used for this session. There is no result yet."
    ]


def test_the_text_can_be_one_s_own() -> None:
    """The function is given the agent's state and what was reached."""
    meter = stopped_at(steps=1)
    agent = agent_of(
        meter, final_answer=lambda state, reached: f"{len(state['messages'])} messages, {reached.limit} step"
    )
    assert last(agent.invoke(QUESTION, config_of(meter))).text == "3 messages, 1 step"


def test_a_session_that_is_used_up_gets_the_answer_again_and_another_one_goes_on() -> None:
    """The history stays one that models take, so the thread can go on when there is money again."""
    meter = stopped_at(steps=3)
    agent = agent_of(meter, model_of(looks_twice), options={"checkpointer": InMemorySaver()})
    config = config_of(meter, thread_id="t1")
    assert last(agent.invoke(QUESTION, config)).text == "It is in Lyon."
    state = agent.invoke(QUESTION, config)
    assert last(state).text.startswith("Budget reached: 3 of 3 steps")
    assert unanswered(state) == set()
    other = {**config, "metadata": {"session": "s2"}}
    assert last(agent.invoke(QUESTION, other)).text == "It is in Lyon."


@pytest.mark.parametrize("form", [Place, ToolStrategy(Place), ProviderStrategy(Place)])
@pytest.mark.parametrize("tools", [True, False])
def test_an_agent_that_must_answer_in_a_form_ends_as_well(form: Any, tools: bool) -> None:
    """There is no structured answer then, and the loop that asks for one ends."""
    meter, model = stopped_at(steps=0), model_of()
    options = {"response_format": form, **({} if tools else {"tools": []})}
    state = agent_of(meter, model, options=options).invoke(QUESTION, config_of(meter))
    assert last(state).text.startswith("Budget reached")
    assert state.get("structured_response") is None
    assert model.prompts == []


def test_an_answer_in_a_form_is_let_through() -> None:
    """Where there is room, a structured answer is what it is without the middleware."""
    meter = stopped_at(usd="0.02")
    model = model_of([AIMessage("", tool_calls=[{"name": "Place", "args": {"city": "Lyon"}, "id": "1"}])])
    state = agent_of(meter, model, options={"response_format": ToolStrategy(Place)}).invoke(QUESTION, config_of(meter))
    assert state["structured_response"] == Place(city="Lyon")


def test_a_breaker_says_what_it_saw() -> None:
    """A run that repeats itself ends with the breaker's own words."""
    meter = CostMeter(breakers=[CircuitBreaker(kind="identical_calls", stop=2)])
    again = AIMessage("", tool_calls=[{"name": "track", "args": {"order": "7"}, "id": "x"}])
    model = model_of(lambda messages: again.model_copy())
    assert last(agent_of(meter, model).invoke(QUESTION, config_of(meter))).text.startswith("Stopped: ")
    with pytest.raises(BreakerTripped):
        agent_of(meter, model, on_limit="raise").invoke(QUESTION, config_of(meter))


def test_a_limit_that_cannot_be_acted_on_is_raised() -> None:
    """An agent without a checkpointer cannot wait for a person: that is for its author to read, not its user."""
    meter = stopped_at(steps=1, on_limit="interrupt")
    with pytest.raises(LimitUnavailable, match="checkpointer"):
        agent_of(meter).invoke(QUESTION, config_of(meter))


def test_a_person_who_is_asked_is_asked() -> None:
    """A budget that asks pauses the agent before the call; approved, it goes on with the next one and no call twice."""
    meter, model = stopped_at(steps=2, on_limit="interrupt"), model_of(looks_twice)
    agent, config = agent_of(meter, model, options={"checkpointer": InMemorySaver()}), config_of(meter, thread_id="t1")
    paused = agent.invoke(QUESTION, config)
    assert paused["__interrupt__"][0].value["type"] == "agentcost.approval"
    assert len(model.prompts) == 2
    assert last(agent.invoke(Command(resume="approve"), config)).text == "It is in Lyon."
    assert len(model.prompts) == 3


def test_a_person_who_says_no_ends_the_agent_with_an_answer() -> None:
    """Denied, the agent ends, and the provider is not called again."""
    meter, model = stopped_at(steps=2, on_limit="interrupt"), model_of(looks_twice)
    agent, config = agent_of(meter, model, options={"checkpointer": InMemorySaver()}), config_of(meter, thread_id="t1")
    agent.invoke(QUESTION, config)
    answer = last(agent.invoke(Command(resume="deny"), config))
    assert "denied" in answer.text
    assert len(model.prompts) == 2


def test_a_drain_stops_the_run_and_can_be_resumed() -> None:
    """A budget that drains lets the call in hand be made and stops the graph: nothing is made of that."""
    meter, model = stopped_at(steps=1, on_limit="drain"), model_of()
    with pytest.raises(GraphDrained):
        agent_of(meter, model).invoke(QUESTION, config_of(meter))
    assert len(model.prompts) == 1


def test_tool_calls_that_are_stopped_are_answered() -> None:
    """Of three calls at once two are made; the third is told that it was not, and the agent ends."""
    calls = [{"name": "track", "args": {"order": str(order)}, "id": f"call-{order}"} for order in (1, 2, 3)]
    meter, model = stopped_at(tool_calls=2), model_of([AIMessage("I will look.", tool_calls=calls)])
    state = agent_of(meter, model).invoke(QUESTION, config_of(meter))
    results = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert sorted(message.status for message in results) == ["error", "success", "success"]
    [stopped] = [message for message in results if message.status == "error"]
    assert stopped.text.startswith("Not run to its end. Budget reached: ")
    assert last(state).text.startswith("Budget reached: ")
    assert unanswered(state) == set()
    assert len(model.prompts) == 1
    assert "I will look." in last(state).text
    assert last(state).text.count("is in Lyon") == 2


async def test_tool_calls_that_are_stopped_are_answered_in_async_agents() -> None:
    """The same, awaited."""
    meter = stopped_at(tool_calls=0)
    state = await agent_of(meter).ainvoke(QUESTION, config_of(meter))
    assert state["messages"][-2].text.startswith("Not run to its end. Budget reached: 0 of 0 tool calls")
    assert unanswered(state) == set()


def test_a_budget_for_one_call_stops_that_call_alone() -> None:
    """What is stopped by a budget per call is told so, and the agent goes on."""
    meter = CostMeter(budgets=[Budget(usd="0.0001", per="call", where={"tool": "track"})], prices=_PRICED_TOOL)
    state = agent_of(meter, model_of(looks_twice)).invoke(QUESTION, config_of(meter))
    results = [message for message in state["messages"] if isinstance(message, ToolMessage)]
    assert [message.status for message in results] == ["error", "error"]
    assert last(state).text == "It is in Lyon."


_PRICED_TOOL = {"tools": {"track": "0.01"}}


class TestText:
    """What the answer is made of."""

    def reached(self) -> BudgetExceeded:
        """A budget that has money left, but not enough."""
        return BudgetExceeded("no room", scope="run budget:usd|run=r1", limit=PRICE, spent=PRICE / 2)

    def test_what_is_left_is_said_to_be_too_little(self) -> None:
        """Who reads that half is spent is told why it ended all the same."""
        text = default_answer({"messages": []}, self.reached())
        assert text == (
            "Budget reached: $0.0006 of $0.0012 is used for this run, and the next call may take more than what is "
            "left. There is no result yet."
        )

    def test_only_this_turn_counts(self) -> None:
        """What was said before the latest question is no result of it."""
        messages = [HumanMessage("Hi"), AIMessage("Hello!"), HumanMessage("Where is it?")]
        assert "There is no result yet." in default_answer({"messages": messages}, self.reached())

    def test_long_results_are_shortened_and_failed_ones_left_out(self) -> None:
        """A result of 10,000 characters is shown to 500, and an error message not at all."""
        asked = looks_again([])
        results = [
            ToolMessage("x" * 10_000, tool_call_id="1"),
            ToolMessage("no such order", tool_call_id="2", status="error"),
        ]
        text = default_answer({"messages": [HumanMessage("Hi"), asked, *results]}, self.reached())
        assert text.endswith(f"\n\n{'x' * 500} […]")
