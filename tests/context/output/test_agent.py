"""Output controls inside an agent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.messages.tool import tool_call
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

from langchain_agentcost.context.output.agent import OutputControlsMiddleware
from langchain_agentcost.context.output.bound import WHOLE
from langchain_agentcost.context.output.controls import OutputControls
from langchain_agentcost.context.output.fit import fit_max_tokens
from langchain_agentcost.context.output.fitted import Cap, Fitted
from langchain_agentcost.context.output.form import answer_form
from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.middleware import agentcost_middleware
from langchain_agentcost.quality import QualityFloor
from langchain_agentcost.testing import FakeCounts, FakeMeteredChatModel
from tests.context.output.talker import Talker

LONG = "The parcel left Lyon on Monday and is due on Thursday."
ASKED: Any = {"messages": [HumanMessage("Where is it?")]}
CANCELLED: list[str] = []


@tool
def cancel(order: str) -> str:
    """Cancel an order."""
    CANCELLED.append(order)
    return f"{order} is cancelled."


def _agent(model: Any, controls: OutputControls, **given: Any) -> Any:
    fitted = given.pop("fitted", None)
    more = given.pop("more", [])
    return create_agent(model, middleware=[OutputControlsMiddleware(controls, fitted=fitted), *more], **given)


def test_a_cut_answer_is_asked_for_again_and_only_the_whole_one_is_kept() -> None:
    """The agent's history has the whole answer, once."""
    model = Talker(text=LONG)
    done = _agent(model, OutputControls(max_tokens=5)).invoke(ASKED)
    assert [message.text.strip() for message in done["messages"]] == ["Where is it?", LONG]
    assert [sent.get("max_tokens") for sent in model.sent] == [5, None]


async def test_async_agents_are_the_same() -> None:
    """The same, awaited."""
    model = Talker(text=LONG)
    done = await _agent(model, OutputControls(max_tokens=5)).ainvoke(ASKED)
    assert done["messages"][-1].text.strip() == LONG
    assert len(model.sent) == 2


def test_half_a_tool_call_is_never_run() -> None:
    """Without the middleware the tool is run with half its argument; with it the whole call is, or none."""
    CANCELLED.clear()
    create_agent(Talker(order="A-17", max_tokens=14, short_after=1), [cancel]).invoke(ASKED)
    assert len(CANCELLED) == 1
    assert CANCELLED != ["A-17"]
    CANCELLED.clear()
    done = _agent(Talker(order="A-17", max_tokens=14), OutputControls(), tools=[cancel]).invoke(ASKED)
    assert CANCELLED == []
    assert "cut" in done["messages"][-1].text
    done = _agent(Talker(order="A-17", short_after=2), OutputControls(max_tokens=14), tools=[cancel]).invoke(ASKED)
    assert CANCELLED == ["A-17"]
    assert done["messages"][-1].text.strip() == "Done."


def test_the_prefix_is_the_same_at_every_call() -> None:
    """The instruction is part of the system message, with a prompt of the agent's own and without."""
    model = Talker(order="A-17", short_after=1)
    _agent(model, OutputControls("Be brief."), tools=[cancel], system_prompt="You help.").invoke(ASKED)
    first, second = model.prompts
    assert first[0].text == "You help.\n\nBe brief."
    assert second[: len(first)] == first


def test_the_cap_of_the_agents_node_is_the_fitted_one() -> None:
    """What the meter booked for a node is what is looked up there, in a subgraph too."""
    meter = CostMeter()
    model = FakeMeteredChatModel(answers=["Yes."], counts=FakeCounts(50, 20))
    builder = StateGraph(MessagesState)
    builder.add_node("desk", create_agent(model))
    builder.add_edge(START, "desk")
    for _ in range(5):
        builder.compile().invoke(ASKED, {"callbacks": meter.callbacks})
    fitted = fit_max_tokens(meter.ledger, floor=QualityFloor("answers whole", min=0.5), headroom=2)
    [cap] = fitted.caps
    assert (cap.place, cap.max_tokens) == ("desk/model", 40)
    caps: list[Any] = []

    class Watch(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
            caps.append(request.model_settings.get("max_tokens"))
            return handler(request)

    builder = StateGraph(MessagesState)
    builder.add_node("desk", _agent(model, OutputControls(), fitted=fitted, more=[Watch()]))
    builder.add_edge(START, "desk")
    builder.compile().invoke(ASKED)
    _agent(model, OutputControls(), fitted=fitted, more=[Watch()]).invoke(ASKED)
    assert caps == [40, None]


def test_caps_by_something_else_than_the_node_are_refused() -> None:
    """They would never be found."""
    with pytest.raises(ValueError, match="'workflow'"):
        OutputControlsMiddleware(OutputControls(), fitted=Fitted("workflow", WHOLE, 2.0, (Cap("w", "m", 1, 0, 1),)))


def test_a_budget_that_lowers_the_cap_has_the_last_word() -> None:
    """Its middleware comes last, and what it has cut is not asked for again in vain."""
    model = Talker(text=LONG)
    meter = CostMeter(budgets=[Budget(output_tokens=4)])
    done = _agent(model, OutputControls(max_tokens=8), more=agentcost_middleware(meter, least_output_tokens=1)).invoke(
        ASKED, {"callbacks": meter.callbacks}
    )
    assert [sent.get("max_tokens") for sent in model.sent] == [4]
    assert done["messages"][-1].text.strip() == "The parcel left Lyon"


def test_a_capped_call_reserves_no_more_than_its_cap() -> None:
    """Where a budget has no room for the longest answer it has room for a capped one: the real use of a cap."""
    budgets = [Budget(output_tokens=300)]
    for controls, cap in ((OutputControls(), 300), (OutputControls(max_tokens=200), 200)):
        model = Talker(text="It is here.")
        meter = CostMeter(budgets=budgets)
        _agent(model, controls, more=agentcost_middleware(meter)).invoke(ASKED, {"callbacks": meter.callbacks})
        assert [sent.get("max_tokens") for sent in model.sent] == [cap]


@pytest.mark.parametrize("strategy", [ToolStrategy, ProviderStrategy])
def test_structured_answers_that_were_cut_are_asked_for_again(strategy: Any) -> None:
    """By a tool call or as the text itself: half a form is not taken for a whole one, and does not raise."""
    form = answer_form("cancel", {"order": "its number"})
    text = "" if strategy is ToolStrategy else '{"order": "A 17"}'
    model = Talker(text=text, order="A 17" if strategy is ToolStrategy else None)
    cap = 14 if strategy is ToolStrategy else 2
    done = _agent(model, OutputControls(max_tokens=cap), response_format=strategy(form)).invoke(ASKED)
    assert done["structured_response"] == {"order": "A 17"}
    assert len(model.sent) == 2


def test_a_form_keeps_its_result_where_a_tool_call_beside_it_was_cut() -> None:
    """The call that has a result stays with it; the half one beside it is not run, and the agent ends."""
    CANCELLED.clear()
    form = answer_form("Verdict", {"decision": "refund or refuse"})
    calls = [
        tool_call(name="Verdict", args={"decision": "refund"}, id="call-1"),
        tool_call(name="cancel", args={"order": "A-"}, id="call-2"),
    ]
    model = FakeMeteredChatModel(
        answers=[AIMessage("", tool_calls=calls, response_metadata={"finish_reason": "length"})]
    )
    done = _agent(model, OutputControls(), tools=[cancel], response_format=ToolStrategy(form)).invoke(ASKED)
    assert done["structured_response"] == {"decision": "refund"}
    assert CANCELLED == []
    assert [call["id"] for message in done["messages"] for call in getattr(message, "tool_calls", [])] == ["call-1"]
    assert len(model.prompts) == 1


def test_middleware_that_answers_by_itself_is_let_be() -> None:
    """A bare message of other middleware, which no model gave, goes through."""

    class Answers(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
            return AIMessage("From elsewhere.")

        async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
            return AIMessage("From elsewhere.")

    done = _agent(Talker(), OutputControls(max_tokens=5), more=[Answers()]).invoke(ASKED)
    assert done["messages"][-1].text == "From elsewhere."


async def test_other_errors_are_the_callers() -> None:
    """Nothing but a cut is tried again."""
    model = FakeMeteredChatModel(failures={1: TimeoutError(), 2: TimeoutError()})
    agent = _agent(model, OutputControls(max_tokens=5))
    with pytest.raises(TimeoutError):
        agent.invoke(ASKED)
    with pytest.raises(TimeoutError):
        await agent.ainvoke(ASKED)
    assert len(model.prompts) == 2
