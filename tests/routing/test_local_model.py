"""The router with a real model as its small tier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel

from langchain_agentcost.demo.local_model import LocalModel
from langchain_agentcost.demo.models import local_model
from langchain_agentcost.meter import CostMeter
from langchain_agentcost.pricing import PriceBook
from langchain_agentcost.routing.runnable import RouterRunnable
from langchain_agentcost.testing import FakeMeteredChatModel
from tests.routing.desk import STRONG, Heard, search

SMALL_STEP: RunnableConfig = {"metadata": {"router_step": "format"}}


class Colour(BaseModel):
    """A colour."""

    name: str


@pytest.fixture(scope="module")
def real() -> Iterator[ChatOpenAI]:
    """The real local model; where it is not installed the tests fail: it must not go unnoticed."""
    with LocalModel(slots=2) as served:
        chat = local_model(served).chat
        assert isinstance(chat, ChatOpenAI)
        yield chat


@pytest.fixture
def router(real: ChatOpenAI) -> RouterRunnable:
    """The real model before a fake frontier."""
    return RouterRunnable([("small", real), ("frontier", FakeMeteredChatModel(model=STRONG, answers=["Planned."]))])


def test_a_call_of_the_small_tier_is_real(router: RouterRunnable, real: ChatOpenAI) -> None:
    """A small step is answered by the real model, in one event, with its own usage."""
    heard = Heard()
    answer = router.invoke("Say hello.", {**SMALL_STEP, "callbacks": [heard]})
    assert answer.text
    assert answer.usage_metadata["output_tokens"] > 0
    assert heard.models == [real.model_name]
    assert answer.response_metadata["router"]["answered_by"] == "small"


async def test_it_streams(router: RouterRunnable) -> None:
    """Tokens of the real model come through, in sync and async code."""
    heard = Heard()
    config: RunnableConfig = {**SMALL_STEP, "callbacks": [heard]}
    assert len(list(router.stream("Count to five.", config))) > 2
    assert len([chunk async for chunk in router.astream("Count to five.", config)]) > 2
    assert len(heard.models) == heard.ends == 2


def test_a_form_is_grammar(router: RouterRunnable) -> None:
    """Structured output by JSON schema is held by the real server's grammar."""
    formed = router.with_structured_output(Colour, method="json_schema")
    assert isinstance(formed.invoke("Name a colour.", SMALL_STEP), Colour)


def test_in_a_graph_both_tiers_work_on_one_thread(router: RouterRunnable) -> None:
    """A node that formats goes to the real model, one that plans to the frontier, and the meter has both."""
    meter = CostMeter(prices=PriceBook())
    graph = StateGraph(MessagesState)
    for node in ("format", "plan"):
        graph.add_node(node, lambda state: {"messages": [router.invoke(state["messages"])]})
    graph.add_edge("__start__", "format")
    graph.add_edge("format", "plan")
    done = graph.compile().invoke({"messages": "Hello"}, {"callbacks": meter.callbacks})  # type: ignore[call-overload]
    assert done["messages"][-1].text == "Planned."
    models = [entry.attribution.model for entry in meter.ledger.entries() if entry.kind == "llm"]
    assert len(models) == 2
    assert models[1] == STRONG


async def test_an_agent_streams_from_it(router: RouterRunnable) -> None:
    """`create_agent` streams the real model's tokens; it is bound tools and calls none, for its template has none."""
    agent: Any = create_agent(router, tools=[search])  # type: ignore[call-overload]
    pinned: RunnableConfig = {"configurable": {"router_tier": "small"}}
    coming = agent.astream({"messages": "Say hello."}, pinned, stream_mode="messages")
    chunks = [chunk async for chunk, _ in coming if isinstance(chunk, AIMessageChunk)]
    assert len(chunks) > 2
