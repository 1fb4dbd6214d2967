"""Circuit breakers through a real meter: a run that gets nowhere is stopped, one that works is not."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphDrained
from langgraph.types import Command

from langchain_agentcost import BreakerTripped, CircuitBreaker, CostMeter
from langchain_agentcost.limits.alerts import Alert
from langchain_agentcost.testing import FakeMeteredChatModel

looked_up: list[str] = []


@tool
def look_up(key: str) -> str:
    """Look something up."""
    looked_up.append(key)
    return "nothing found"


@tool
def flaky(key: str) -> str:
    """Fail, always."""
    looked_up.append(key)
    raise ToolException("the service is down: canary-secret")


flaky.handle_tool_error = True


@pytest.fixture(autouse=True)
def _forget() -> None:
    looked_up.clear()


def asking_for(name: str, *, rounds: int = 50, same: bool = True) -> FakeMeteredChatModel:
    """A model that asks for one tool again and again, with the same arguments or with others."""

    def answer(messages: list[BaseMessage]) -> AIMessage:
        done = sum(isinstance(message, ToolMessage) for message in messages)
        if done >= rounds:
            return AIMessage("Done.")
        key = "k" if same else f"k{done}"
        return AIMessage("", tool_calls=[{"name": name, "args": {"key": key}, "id": f"call-{done}"}])

    return FakeMeteredChatModel(answers=answer)


def agent(model: FakeMeteredChatModel, **kwargs: Any) -> Any:
    """An agent with both tools."""
    return create_agent(model, tools=[look_up, flaky], **kwargs)


def run(app: Any, meter: CostMeter, config: dict[str, Any] | None = None, state: Any = None) -> Any:
    """Run it, or with a command let it go on."""
    given = {"messages": [("user", "Go")]} if state is None else state
    return app.invoke(given, {**(config or {}), "callbacks": meter.callbacks})


def test_identical_calls_with_identical_results_are_stopped_and_the_evidence_says_so() -> None:
    """The eighth identical result is the last one, and no argument or result is told."""
    told: list[Alert] = []
    meter = CostMeter(breakers=[CircuitBreaker.identical_calls(8, warn=4)], alerts=[told.append])
    with pytest.raises(BreakerTripped, match="look_up was called 8 times") as tripped:
        run(agent(asking_for("look_up")), meter)
    assert looked_up == ["k"] * 8
    assert tripped.value.evidence["count"] == 8
    assert [(alert.kind, alert.evidence["count"]) for alert in told] == [("warned", 4), ("tripped", 8)]
    assert "nothing found" not in repr(told)


def test_a_run_whose_calls_differ_goes_on() -> None:
    """Many calls of one tool with other arguments are work, not a loop."""
    meter = CostMeter(breakers=CircuitBreaker.defaults())
    assert run(agent(asking_for("look_up", rounds=20, same=False)), meter)["messages"][-1].content == "Done."


def test_a_failing_tool_is_not_tried_more_often_than_its_retries() -> None:
    """Three retries after the first failure, then the run stops before the tool is called again."""
    meter = CostMeter(budgets=[CircuitBreaker.tool_retries(3)])
    with pytest.raises(BreakerTripped, match="flaky failed"):
        run(agent(asking_for("flaky", same=False)), meter)
    assert len(looked_up) == 4


def test_another_run_starts_with_nothing_held_against_it() -> None:
    """A breaker watches one workflow run."""
    meter = CostMeter(breakers=[CircuitBreaker.identical_calls(3, warn=None)])
    for _ in range(2):
        with pytest.raises(BreakerTripped):
            run(agent(asking_for("look_up")), meter)
    assert len(looked_up) == 6


def test_a_person_can_overrule_a_breaker_for_the_run() -> None:
    """Asked once and approved, the run goes on to its end; denied, it stops."""
    meter = CostMeter(breakers=[CircuitBreaker.identical_calls(3, warn=None, on_trip="interrupt")])
    app, config = agent(asking_for("look_up", rounds=6), checkpointer=InMemorySaver()), thread("a")
    paused = run(app, meter, config)
    assert "3 times" in paused["__interrupt__"][0].value["message"]
    assert run(app, meter, config, Command(resume="approve"))["messages"][-1].content == "Done."
    run(app, meter, thread("b"))
    with pytest.raises(BreakerTripped, match="A person was asked and denied it"):
        run(app, meter, thread("b"), Command(resume="deny"))


def thread(name: str) -> dict[str, Any]:
    """The config of a thread."""
    return {"configurable": {"thread_id": name}}


def test_a_breaker_can_drain_the_run() -> None:
    """The call in hand is made, the next superstep is not."""
    meter = CostMeter(breakers=[CircuitBreaker.identical_calls(3, warn=None, on_trip="drain")])
    with pytest.raises(GraphDrained):
        run(agent(asking_for("look_up"), checkpointer=InMemorySaver()), meter, thread("d"))
    assert len(looked_up) == 3


def test_in_observe_mode_a_breaker_only_speaks(caplog: pytest.LogCaptureFixture) -> None:
    """What would have been stopped is told, and goes on."""
    meter = CostMeter(breakers=[CircuitBreaker.identical_calls(3, warn=None)], mode="observe")
    with caplog.at_level(logging.WARNING, "langchain_agentcost.alerts"):
        assert run(agent(asking_for("look_up", rounds=5)), meter)["messages"][-1].content == "Done."
    assert "look_up was called 3 times" in caplog.text


async def test_breakers_stop_async_runs_too() -> None:
    """The same handler holds for ainvoke."""
    meter = CostMeter(breakers=[CircuitBreaker.identical_calls(3, warn=None)])
    with pytest.raises(BreakerTripped):
        await agent(asking_for("look_up")).ainvoke({"messages": [("user", "Go")]}, {"callbacks": meter.callbacks})
    assert len(looked_up) == 3


def test_a_model_that_repeats_itself_over_the_same_news_makes_no_progress() -> None:
    """Same new input, same answer, again and again: the run gets nowhere, whatever tools it has."""
    meter = CostMeter(breakers=[CircuitBreaker.no_progress(4, warn=None)])
    with pytest.raises(BreakerTripped, match="same answer 4 times"):
        run(agent(asking_for("look_up")), meter)


def test_a_context_that_grows_too_far_stops_the_run() -> None:
    """Each call sends more than the last; beyond the stated growth none is made."""
    growing = FakeMeteredChatModel(answers=lambda messages: AIMessage("word " * 3_000, tool_calls=_more(messages)))
    meter = CostMeter(breakers=[CircuitBreaker.context_growth(3, warn=None)])
    with pytest.raises(BreakerTripped, match="times the run's first call"):
        run(agent(growing), meter)


def _more(messages: list[BaseMessage]) -> list[Any]:
    return [{"name": "look_up", "args": {"key": f"{len(messages)}"}, "id": f"c{len(messages)}"}]
