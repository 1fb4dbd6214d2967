"""A reservation's id is that of the call's place in its graph: a replay has the same one, a real retry another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy, interrupt

from langchain_agentcost.limits.budget import Budget
from langchain_agentcost.limits.holds import Hold
from tests.canned_provider import CannedProvider, Reply, openai_chat
from tests.meter.halting.chain import Chain
from tests.meter.halting.world import USAGE, World, allowing, fake_model, store_of, world

ASKED: Any = {"messages": []}
QUICK = openai_chat("Hello there", usage=USAGE)


@pytest.fixture
def w() -> Iterator[World]:
    """A session's budget with room for all."""
    with world(allowing(20)) as made:
        yield made


def holds(w: World) -> list[Hold]:
    """All holds, oldest first."""
    return list(store_of(w.meter).holds())


def one_node(work: Any, **of_node: Any) -> Any:
    """A graph of one node."""
    return StateGraph(MessagesState).add_node("work", work, **of_node).add_edge(START, "work").compile(InMemorySaver())


class TestReplay:
    """What LangGraph runs again."""

    def test_after_kill_9_in_mid_call(self, tmp_path: Path) -> None:
        """The new process takes the pending hold over: one reservation, one charge, whatever was on its way."""
        with CannedProvider(Reply(QUICK, delay_s=0.5), QUICK) as provider:
            chain = Chain(tmp_path, provider, [allowing(10)])
            chain.killed_in_call(ASKED, 1)
            [pending] = chain.holds()
            assert pending.state == "pending"
            chain.go(None)
            first = chain.holds()[0]
            assert (first.id, first.state, first.call_id != pending.call_id) == (pending.id, "posted", True)
            assert len(chain.holds()) == chain.accounts()["session"].spent == 4
            assert len(provider.requests) == 5

    def test_a_call_that_was_settled_is_another_call(self, w: World) -> None:
        """A node that is run again after the user's interrupt pays its model again, and is charged again."""
        model = fake_model()

        def work(state: MessagesState) -> dict[str, Any]:
            model.invoke("Hi")
            return {"messages": [AIMessage(interrupt("And?"))]}

        app = one_node(work)
        app.invoke(ASKED, w.config)
        app.invoke(Command(resume="Go on."), w.config)
        assert len(model.prompts) == w.account.spent == len({hold.id for hold in holds(w)}) == 2

    def test_a_call_that_was_refused_takes_its_place(self, w: World) -> None:
        """The place that had no room is the one that is reserved when there is."""
        with world(allowing(0)) as poor:
            app = one_node(lambda _: {"messages": [fake_model().invoke("Hi")]})
            for _ in range(2):
                with pytest.raises(Exception, match="no room"):
                    app.invoke(ASKED if not holds(poor) else None, poor.config)
            assert holds(poor) == []
            poor.allow_more(1)
            app.invoke(None, poor.config)
            [hold] = holds(poor)
        app.invoke(ASKED, w.config | {"configurable": {"thread_id": "t2"}})
        assert hold.id not in {other.id for other in holds(w)}

    def test_a_tool_call(self) -> None:
        """A tool that is run again because a sibling asked the user is charged again, because it ran again."""
        ran: list[str] = []

        @tool
        def look_up(order: str) -> str:
            """Look an order up."""
            ran.append(order)
            return str(interrupt("Sure?"))

        call = ToolCall(name="look_up", args={"order": "7"}, id="call-1", type="tool_call")
        builder = StateGraph(MessagesState).add_node("tools", ToolNode([look_up])).add_edge(START, "tools")
        app = builder.compile(InMemorySaver())
        with world(Budget(tool_calls=5, per="session")) as w:
            app.invoke({"messages": [AIMessage("", tool_calls=[call])]}, w.config)
            app.invoke(Command(resume="yes"), w.config)
            assert w.account.reserved == 0
            assert w.account.spent == len(ran) == 2


class TestRetry:
    """What is really called again."""

    def test_a_node_s_retry_policy(self, w: World) -> None:
        """Each attempt that reached the provider is charged, under an id of its own."""
        model = fake_model()

        def work(state: MessagesState) -> dict[str, Any]:
            answer = model.invoke("Hi")
            if len(model.prompts) < 3:
                raise ConnectionError("after it was paid")
            return {"messages": [answer]}

        one_node(work, retry_policy=RetryPolicy(initial_interval=0.001, jitter=False)).invoke(ASKED, w.config)
        assert len(model.prompts) == w.account.spent == len({hold.id for hold in holds(w)}) == 3

    @pytest.mark.parametrize("in_graph", [True, False])
    def test_with_retry(self, w: World, in_graph: bool) -> None:
        """A failed attempt counts as a call and costs what it consumed; the next one is reserved for by itself."""
        flaky = fake_model(failures={1: ConnectionError("down"), 2: ConnectionError("down")})
        retried = flaky.with_retry(stop_after_attempt=3, wait_exponential_jitter=False)
        if in_graph:
            one_node(lambda _: {"messages": [retried.invoke("Hi")]}).invoke(ASKED, w.config)
        else:
            retried.invoke("Hi", w.config)
        assert len(flaky.prompts) == w.account.spent == len({hold.id for hold in holds(w)}) == 3

    def test_with_fallbacks(self, w: World) -> None:
        """The model that stands in is another call."""
        broken = fake_model(failures={1: ConnectionError("down")})
        one_node(lambda _: {"messages": [broken.with_fallbacks([fake_model()]).invoke("Hi")]}).invoke(ASKED, w.config)
        assert w.account.spent == len({hold.id for hold in holds(w)}) == 2


def test_calls_of_one_node_have_places_of_their_own(w: World) -> None:
    """In sequence, at once, and one level down."""
    model = fake_model()

    def work(state: MessagesState) -> dict[str, Any]:
        model.invoke("Hi")
        model.batch(["Hi"] * 3)
        return {"messages": [RunnableLambda(lambda _: model.invoke("Hi")).invoke("Hi")]}

    one_node(work).invoke(ASKED, w.config)
    assert len(model.prompts) == w.account.spent == len({hold.id for hold in holds(w)}) == 5


def test_the_same_question_in_another_thread_has_another_id(w: World) -> None:
    """Ids are of a checkpoint's task, which no two threads share."""
    app = one_node(lambda _: {"messages": [fake_model().invoke("Hi")]})
    for thread in ("a", "b", "a"):
        app.invoke(ASKED, {**w.config, "configurable": {"thread_id": thread}})
    assert len({hold.id for hold in holds(w)}) == 3


def test_without_a_checkpointer_too(w: World) -> None:
    """Nothing is replayed there, and no two runs share a hold."""
    app = StateGraph(MessagesState).add_node("work", lambda _: {"messages": [fake_model().invoke("Hi")]})
    built = app.add_edge(START, "work").compile()
    for _ in range(3):
        built.invoke(ASKED, w.config)
    assert w.account.spent == len({hold.id for hold in holds(w)}) == 3
